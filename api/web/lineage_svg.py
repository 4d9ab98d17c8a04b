"""The lineage of a project as an SVG: boxes, lines and one style sheet. No script, no font, nothing that is fetched.

Its boxes are links to the API's own pages. It is light or dark as the reader's browser is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from api.schemas.lineage import Lineage, LineageNode
from api.web.lineage_layout import FOLDED_LINE, MARGIN, TOP, Box, Placed, Rail, place
from api.web.lineage_lines import line_to, tip
from api.web.svg_elements import add, add_text
from api.web.svg_style import HUES, STYLE
from api.web.svg_text import clean, fitted, width_of

_PRODUCTION = "@production"
_BAD, _BUSY = frozenset({"rejected", "failed", "cancelled"}), frozenset({"received", "preparing", "queued", "running"})
_BOTTOM = 64  # the legend


@dataclass(frozen=True, slots=True)
class _Context:
    """The project, whose name is left out; by their ids the datasets, their colours, and what runs were trained on."""

    project: str
    datasets: Mapping[str, LineageNode]
    hues: Mapping[str, int]
    trained_on: Mapping[str, str]

    def short(self, name: str, *, width: float, size: float) -> str:
        """`d2`, `v7`; of another project the whole name, whose number stays when it is cut. For bold text."""
        slug, slash, number = name.removeprefix(f"{self.project}/").rpartition("/")
        rest = width - width_of(f"{slash}{number}", size, bold=True)
        return f"{fitted(slug, width=rest, size=size, bold=True) if slug else ''}{slash}{number}"


def lineage_svg(lineage: Lineage) -> bytes:
    """A well-formed document in UTF-8. Each node is a group whose id is that of the node."""
    placed = place(lineage)
    width, height = max(placed.width, 560.0), placed.height + _BOTTOM
    svg = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="group",  # it has links
    )
    add(svg, "title").text = f"Lineage of {lineage.project}"
    add(svg, "style").text = STYLE
    add(svg, "rect", width="100%", height="100%", class_="paper")
    datasets = {node.id: node for node in lineage.nodes if node.kind == "dataset"}
    hues = {name: number % len(HUES) for number, name in enumerate(datasets)}
    trained_on = {edge.source: edge.target for edge in lineage.edges if edge.kind == "trained-on"}
    context = _Context(lineage.project, datasets, hues, trained_on)
    _heading(svg, lineage, placed, width)
    for rail in placed.rails:
        _rail(svg, rail, context)
    for left, right, kind in placed.pairs:
        _pair(svg, left, right, kind)
    for box in placed.boxes.values():
        _box(svg, box, context)
    _legend(svg, lineage, y=height - _BOTTOM / 2 + 8)
    document: bytes = ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True)
    return document


def _heading(svg: ElementTree.Element, lineage: Lineage, placed: Placed, width: float) -> None:
    name = fitted(lineage.project, width=width - 2 * MARGIN, size=24, bold=True)
    add_text(svg, name, MARGIN, 46, size=24, style="ink", weight="700")
    add_text(svg, _counts(lineage), MARGIN, 70, size=13, style="dim")
    if not lineage.nodes:
        first = "No datasets yet. The first one is uploaded with"
        add_text(svg, f"{first} POST /upload-dataset?project={lineage.project}", MARGIN, TOP + 20, size=14, style="ink")
        return
    for heading, x in placed.columns.items():
        add_text(svg, heading, x, TOP - 20, size=12, style="dim", weight="600")
    add(svg, "path", d=f"M{MARGIN} {TOP - 10}H{width - MARGIN:g}", class_="thin")


def _counts(lineage: Lineage) -> str:
    counted = Counter(node.kind for node in lineage.nodes if not node.outside)
    parts = [f"{counted[kind]} {kind}{'' if counted[kind] == 1 else 's'}" for kind in ("dataset", "run", "version")]
    text = " · ".join(parts)
    return f"{text} · older ones follow" if lineage.truncated else text


def _rail(svg: ElementTree.Element, rail: Rail, context: _Context) -> None:
    hue = context.hues.get(rail.parent)
    stroke, filled = ("line", "tip") if hue is None else (f"s{hue}", f"f{hue}")
    dash = {"stroke-dasharray": "4 3"} if rail.kind == "repaired-from" else {}
    for x, y in rail.ends:
        back = -1.0 if x < rail.x else 1.0  # it arrives from the right, or from the left
        add(svg, "path", d=line_to(rail, (x - back * 5, y)), class_=stroke, stroke_width="1.6", **dash)
        add(svg, "polygon", points=tip(x, y, back), class_=filled)


def _pair(svg: ElementTree.Element, left: Box, right: Box, kind: str) -> None:
    if kind == "alias":
        d, style = f"M{left.right:g} {left.middle:g}C{right.x - 24:g} {left.middle:g} ", "lead"
        d += f"{right.x - 24:g} {right.middle:g} {right.x:g} {right.middle:g}"
        add(svg, "path", d=d, class_=style, stroke_width="1.4")
        return
    add(svg, "path", d=f"M{left.right:g} {left.middle:g}H{right.x - 5:g}", class_="line", stroke_width="1.6")
    add(svg, "polygon", points=tip(right.x, right.middle, 1.0), class_="tip")


def _box(svg: ElementTree.Element, box: Box, context: _Context) -> None:
    node = box.node
    parent = add(svg, "a", href=node.links["self"]) if "self" in node.links else svg
    marks = [name for name, holds in (("gone", node.deleted), ("outside", node.outside)) if holds]
    group = add(parent, "g", id=node.id, **({"class_": " ".join(marks)} if marks else {}))
    add(group, "title").text = clean(_described(node))
    draw = {"dataset": _dataset, "run": _run, "import": _run, "version": _version, "alias": _alias}[node.kind]
    draw(group, box, context)


def _described(node: LineageNode) -> str:
    deleted = "deleted" if node.deleted else None
    parts = [node.name, node.title, node.state, deleted, (node.created_at or "")[:10] or None]
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _dataset(group: ElementTree.Element, box: Box, context: _Context) -> None:
    node, hue = box.node, context.hues[box.node.id]
    _frame(group, box)
    add(group, "rect", x=box.x, y=box.y + 8, width=4, height=box.height - 16, rx=2, class_=f"f{hue}")
    name = context.short(node.name, width=box.width - 30, size=16)
    space = box.width - 42 - width_of(name, 16, bold=True)
    right = next((text for text in _contents(node) if width_of(text, 12) <= space), "")
    add_text(group, name, box.x + 16, box.y + 23, size=16, style="ink", weight="700")
    add_text(group, right, box.right - 14, box.y + 22, size=12, style=_tone(node), anchor="end")
    title = clean(node.title or "")
    add_text(group, fitted(title, width=box.width - 30, size=12), box.x + 16, box.y + 42, size=12, style="dim")
    if node.folded_runs:
        runs = ", ".join(f"{number} {state}" for state, number in node.folded_runs.items())
        text = fitted(f"{runs} left out", width=box.width - 30, size=11)
        add_text(group, text, box.x + 16, box.y + 42 + FOLDED_LINE, size=11, style="dim")


def _contents(node: LineageNode) -> tuple[str, ...]:
    """What fits of a dataset: the longer text first."""
    if node.deleted or node.state != "ready" or node.images is None:
        return ("deleted" if node.deleted else node.state or "",)
    images = f"{node.images:,} image{'' if node.images == 1 else 's'}"
    if node.classes is None:
        return (images,)
    return f"{images} · {node.classes} class{'' if node.classes == 1 else 'es'}", images


def _tone(node: LineageNode) -> str:
    if node.deleted:
        return "dim"
    return "bad" if node.state in _BAD else "busy" if node.state in _BUSY else "dim"


def _run(group: ElementTree.Element, box: Box, context: _Context) -> None:
    node = box.node
    _frame(group, box)
    trained_on = context.trained_on.get(node.id, "")
    dataset = context.short(context.datasets[trained_on].name, width=70, size=11) if trained_on else ""
    space = box.width - 34 - width_of(dataset, 11, bold=True)
    made = f"from {context.short(node.parent, width=space - 40, size=13)}" if node.parent else clean(node.name)
    name = fitted(made, width=space, size=13, bold=True)
    if dataset:
        hue = f"f{context.hues[trained_on]}"
        add_text(group, dataset, box.right - 12, box.y + 20, size=11, style=hue, weight="600", anchor="end")
    add_text(group, name, box.x + 12, box.y + 20, size=13, style="ink", weight="600")
    epochs = f"{node.epochs} epoch{'' if node.epochs == 1 else 's'}" if node.epochs else ""
    state = "deleted" if node.deleted else "" if node.state == "succeeded" else node.state or ""
    below = {"import": "imported weights"}.get(node.kind, epochs)
    space = box.width - 32 - width_of(state, 11)
    add_text(group, fitted(below, width=space, size=11), box.x + 12, box.y + 36, size=11, style="dim")
    add_text(group, state, box.right - 12, box.y + 36, size=11, style=_tone(node), anchor="end")


def _version(group: ElementTree.Element, box: Box, context: _Context) -> None:
    node = box.node
    _frame(group, box)
    value, below = _figure(node)
    space = box.width - 36 - max(width_of(value, 15, bold=True), width_of(below, 10.5))
    add_text(
        group,
        context.short(node.name, width=space, size=16),
        box.x + 14,
        box.y + 21,
        size=16,
        style="ink",
        weight="700",
    )
    add_text(group, (node.created_at or "")[:10], box.x + 14, box.y + 37, size=10.5, style="dim")
    add_text(group, value, box.right - 14, box.y + 21, size=15, style="ink", weight="600", anchor="end")
    add_text(group, below, box.right - 14, box.y + 37, size=10.5, style="dim", anchor="end")


def _figure(node: LineageNode) -> tuple[str, str]:
    if node.deleted:
        return "", "deleted"
    if node.figure is None:
        return "", "not evaluated"
    return f"{node.figure.value:.3f}", f"{node.figure.metric} {node.figure.split}"


def _alias(group: ElementTree.Element, box: Box, context: _Context) -> None:
    """A flag: its right side is cut in."""
    del context
    chief = box.node.name.endswith(_PRODUCTION)
    name = fitted(box.node.name.partition("@")[2], width=box.width - 34, size=12, bold=chief)
    right, bottom = box.x + width_of(name, 12, bold=chief) + 28, box.y + box.height
    points = [(box.x, box.y), (right, box.y), (right - 7, box.middle), (right, bottom), (box.x, bottom)]
    shape = " ".join(f"{x:g},{y:g}" for x, y in points)
    add(group, "polygon", points=shape, class_="chief" if chief else "flag")
    style, weight = ("onchief", "700") if chief else ("ink", "500")
    add_text(group, name, box.x + 10, box.middle + 4, size=12, style=style, weight=weight)


def _frame(group: ElementTree.Element, box: Box) -> None:
    add(group, "rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=8, class_="box")


def _legend(svg: ElementTree.Element, lineage: Lineage, *, y: float) -> None:
    x = float(MARGIN)
    for kind, label in _legend_entries(lineage):
        if kind == "line":
            add(svg, "path", d=f"M{x:g} {y - 4:g}h18", class_="line", stroke_width="1.6")
            add(svg, "polygon", points=tip(x + 24, y - 4, 1.0), class_="tip")
        else:
            mark = add(svg, "g", class_=kind)
            add(mark, "rect", x=x, y=y - 11, width=24, height=14, rx=4, class_="box")
        add_text(svg, label, x + 32, y, size=11, style="dim")
        x += 32 + width_of(label, 11) + 24
    if "next" in lineage.links:
        older = add(svg, "a", href=f"{lineage.links['next']}&format=svg")
        add_text(older, "older datasets, runs and versions", x, y, size=11, style="bad")


def _legend_entries(lineage: Lineage) -> Iterator[tuple[str, str]]:
    if any(edge.kind == "fine-tuned-from" for edge in lineage.edges):
        yield "line", "from a version to what is fine-tuned from it"
    if any(node.deleted for node in lineage.nodes):
        yield "gone", "deleted"
    if any(node.outside for node in lineage.nodes):
        yield "outside", "of another project, or older"
