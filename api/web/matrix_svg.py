"""The matrix of evaluations as an SVG: a table whose cells are links. No script, no font, nothing that is fetched.

A cell is the darker, the closer it is to the best figure of its column. It is light or dark as the reader's browser is.
"""

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from api.schemas.evaluation_matrix import CellOfMatrix, ColumnOfMatrix, EvaluationMatrix, RowOfMatrix
from api.web.svg_elements import add, add_text
from api.web.svg_style import HUES, policy_of, style_sheet
from api.web.svg_text import clean, fitted, width_of

MARGIN, TOP, HEAD = 32, 104, 62
LABEL, CELL = 236, 148  # widths: of the names of versions, of a figure
LINE, GAP = 46, 4  # height of a row; between cells
LEGEND_LINE = 24
NEAR = (0.005, 0.02, 0.05, 0.15)  # below the best of the column, by this much: its shade
_PRODUCTION = "production"
_LIGHT = ("#a9dabd", "#c8e6d3", "#dff0e5", "#edf1e8", "#f4efe7")
_DARK = ("#1f6344", "#1e4c37", "#1d3b2c", "#212b24", "#26211e")


def _shades(colours: tuple[str, ...]) -> dict[str, str]:
    return {f".q{number}": f"fill:{colour}" for number, colour in enumerate(colours)}


STYLE = style_sheet(
    light=_shades(_LIGHT) | {".blank": "stroke:#e3ddd4"},
    dark=_shades(_DARK) | {".blank": "stroke:#352b26"},
    more=".blank{fill:none}.training{stroke-dasharray:3 3;stroke-width:1.2}a:hover .blank{stroke-width:2}",
)
CSP = policy_of(STYLE)


def matrix_svg(matrix: EvaluationMatrix) -> bytes:
    """A well-formed document in UTF-8."""
    width = max(2 * MARGIN + LABEL + len(matrix.datasets) * (CELL + GAP), 640)
    legend, lines = _placed(_legend_entries(matrix), width=width - 2 * MARGIN)
    bottom = TOP + HEAD + max(len(matrix.rows), 1) * (LINE + GAP)
    height = bottom + 40 + lines * LEGEND_LINE
    svg = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        role="img",
    )
    add(svg, "title").text = f"Evaluations of {matrix.project}"
    add(svg, "style").text = STYLE
    add(svg, "rect", width="100%", height="100%", class_="paper")
    _heading(svg, matrix, width)
    for number, column in enumerate(matrix.datasets):
        _column(svg, column, matrix, number)
    add(svg, "path", d=f"M{MARGIN} {TOP + HEAD - 8}H{width - MARGIN}", class_="thin")
    best = [_best([row.cells[at] for row in matrix.rows]) for at in range(len(matrix.datasets))]
    for number, row in enumerate(matrix.rows):
        _row(svg, row, matrix, y=TOP + HEAD + number * (LINE + GAP), best=best)
    for mark, label, x, line in legend:
        _legend_entry(svg, mark, label, x=MARGIN + x, y=bottom + 34 + line * LEGEND_LINE)
    document: bytes = ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True)
    return document


def _heading(svg: ElementTree.Element, matrix: EvaluationMatrix, width: float) -> None:
    name = fitted(matrix.project, width=width - 2 * MARGIN, size=24, bold=True)
    add_text(svg, name, MARGIN, 46, size=24, style="ink", weight="700")
    versions, datasets = len({row.version for row in matrix.rows}), len(matrix.datasets)
    parts = [
        f"{matrix.metric} on {matrix.split}, with 95 % intervals",
        _plural(versions, "version"),
        _plural(datasets, "dataset"),
    ]
    parts += ["older datasets are left out"] if matrix.datasets_left_out else []
    parts += ["older evaluations are left out"] if matrix.evaluations_left_out else []
    text = " · ".join(parts)
    add_text(svg, text, MARGIN, 70, size=13, style="dim")
    if "next" in matrix.links:
        older = add(svg, "a", href=f"{matrix.links['next']}&format=svg")
        add_text(older, "older versions", MARGIN + width_of(text, 13) + 16, 70, size=13, style="bad")
    if not matrix.rows:
        text = "No versions yet: train on a dataset, or import a model."
        add_text(svg, text, MARGIN, TOP + HEAD + 20, size=14, style="ink")


def _column(svg: ElementTree.Element, column: ColumnOfMatrix, matrix: EvaluationMatrix, number: int) -> None:
    x, width = MARGIN + LABEL + number * (CELL + GAP), CELL - 16
    group = add(svg, "a", href=column.links["self"])
    add(group, "title").text = clean(f"{column.name} · {column.title}")
    add(group, "rect", x=x, y=TOP - 2, width=CELL, height=3, rx=1.5, class_=f"f{number % len(HUES)}")
    name = fitted(_short(column.name, matrix), width=width, size=15, bold=True)
    add_text(group, name, x + 8, TOP + 19, size=15, style="ink", weight="700")
    add_text(group, fitted(clean(column.title), width=width, size=11), x + 8, TOP + 34, size=11, style="dim")
    images = "" if column.images is None else _plural(column.images, "image")
    add_text(group, images, x + 8, TOP + 48, size=11, style="dim")


def _row(svg: ElementTree.Element, row: RowOfMatrix, matrix: EvaluationMatrix, *, y: float, best: list[float]) -> None:
    label = add(svg, "a", href=row.links.get("export", row.links["self"]))
    add(label, "title").text = clean(_described(row))
    if row.export:
        _export_label(label, row, y)
    else:
        _version_label(label, row, matrix, y)
    for number, (column, cell) in enumerate(zip(matrix.datasets, row.cells, strict=True)):
        x, own = MARGIN + LABEL + number * (CELL + GAP), row.trained_on == column.fingerprint
        href = cell.links.get("self")
        group = add(svg, "a", href=href) if href else add(svg, "g")
        if cell.source is None:
            _blank(group, row, column, matrix, x=x, y=y)
        else:
            add(group, "title").text = clean(_sentence(row, column, cell, matrix))
            _cell(group, cell, x=x, y=y, shade=_shade(cell, best[number]))
        if own:
            bar = {"x": x + 1, "y": y + 8, "width": 4, "height": LINE - 16, "rx": 2}
            add(group, "rect", **bar, class_=f"f{number % len(HUES)}")


def _version_label(group: ElementTree.Element, row: RowOfMatrix, matrix: EvaluationMatrix, y: float) -> None:
    name = _short(row.version, matrix)
    add_text(group, name, MARGIN, y + 21, size=16, style="ink", weight="700")
    x = MARGIN + width_of(name, 16, bold=True) + 12
    for alias in sorted(row.aliases, key=lambda each: (each != _PRODUCTION, each))[:2]:
        chief = alias == _PRODUCTION
        text = fitted(alias, width=MARGIN + LABEL - x - 26, size=11, bold=chief)
        if len(text) < 3:
            break
        width = width_of(text, 11, bold=chief) + 14
        add(group, "rect", x=x, y=y + 7, width=width, height=19, rx=4, class_="chief" if chief else "flag")
        style, weight = ("onchief", "700") if chief else ("ink", "500")
        add_text(group, text, x + 7, y + 20.5, size=11, style=style, weight=weight)
        x += width + 6
    trained = next((_short(each.name, matrix) for each in matrix.datasets if each.fingerprint == row.trained_on), None)
    below = f"trained on {trained}" if trained else "imported" if row.trained_on is None else ""
    text = " · ".join(filter(None, (below, row.created_at[:10])))
    add_text(group, fitted(text, width=LABEL - 12, size=11), MARGIN, y + 37, size=11, style="dim")


def _export_label(group: ElementTree.Element, row: RowOfMatrix, y: float) -> None:
    add(group, "path", d=f"M{MARGIN + 6} {y - GAP}V{y + 22}h10", class_="line", stroke_width="1.4")
    add_text(group, str(row.export), MARGIN + 24, y + 26, size=13, style="ink", weight="500")


def _cell(group: ElementTree.Element, cell: CellOfMatrix, *, x: float, y: float, shade: str) -> None:
    marks = f"box {shade} training" if cell.source == "training" else f"box {shade}"
    add(group, "rect", x=x, y=y, width=CELL, height=LINE, rx=6, class_=marks)
    value = "–" if cell.value is None else f"{cell.value:.3f}"
    add_text(group, value, x + 14, y + 21, size=15, style="ink", weight="700")
    mark, tone = _mark(cell)
    add_text(group, mark, x + CELL - 10, y + 20, size=11, style=tone, weight="600", anchor="end")
    below, tone = _below(cell)
    add_text(group, below, x + 14, y + 37, size=11, style=tone)
    if cell.missing_classes:
        missing = f"−{cell.missing_classes} cl."
        add_text(group, missing, x + CELL - 10, y + 37, size=11, style="bad", weight="600", anchor="end")


def _mark(cell: CellOfMatrix) -> tuple[str, str]:
    if cell.seen_images:
        return f"{cell.seen_images} seen", "bad"
    return ("?", "dim") if cell.seen_known is False else ("", "dim")


def _below(cell: CellOfMatrix) -> tuple[str, str]:
    if cell.seen_images:
        return ("few unseen" if cell.unseen is None else f"unseen {cell.unseen:.3f}"), "bad"
    if cell.low is None or cell.high is None:
        return ("" if cell.images is None else _plural(cell.images, "image")), "dim"
    return f"{cell.low:.3f}–{cell.high:.3f}", "dim"


def _blank(
    group: ElementTree.Element,
    row: RowOfMatrix,
    column: ColumnOfMatrix,
    matrix: EvaluationMatrix,
    *,
    x: float,
    y: float,
) -> None:
    model = f'"export": "{row.export_id}"' if row.export_id else f'"version": "{row.version}"'
    request = f'{{{model}, "job_id": "{column.job_id}", "split": "{matrix.split}"}}'
    add(group, "title").text = f"Not evaluated: POST /evaluations {request}"
    add(group, "rect", x=x, y=y, width=CELL, height=LINE, rx=6, class_="blank")


def _best(cells: Sequence[CellOfMatrix]) -> float:
    return max((figure for cell in cells if (figure := _compared(cell)) is not None), default=0.0)


def _shade(cell: CellOfMatrix, best: float) -> str:
    figure = _compared(cell)
    if figure is None:
        return ""
    return f"q{next((at for at, below in enumerate(NEAR) if best - figure <= below), len(NEAR))}"


def _compared(cell: CellOfMatrix) -> float | None:
    """Without images that the model was trained on: with them its figure is better than it is."""
    return cell.unseen if cell.seen_images else cell.value


def _sentence(row: RowOfMatrix, column: ColumnOfMatrix, cell: CellOfMatrix, matrix: EvaluationMatrix) -> str:
    value = "nothing to measure" if cell.value is None else f"{cell.value:.4f}"
    parts = [
        f"{row.version} {row.export or ''}".strip(),
        f"on {column.name} {matrix.split}",
        f"{matrix.metric} {value}",
    ]
    if cell.low is not None and cell.high is not None:
        parts.append(f"between {cell.low:.4f} and {cell.high:.4f} with a confidence of 95 %")
    if cell.images is not None:
        parts.append(_plural(cell.images, "image"))
    if cell.seen_images:
        unseen = "too few others for a figure" if cell.unseen is None else f"{cell.unseen:.4f} without"
        parts.append(f"{_plural(cell.seen_images, 'image')} seen in training, {unseen}")
    if cell.seen_known is False:
        parts.append("not all images that it was trained on are known")
    if cell.missing_classes:
        parts.append(f"the model lacks {_plural(cell.missing_classes, 'class', 'classes')}")
    parts.append("measured when it was published" if cell.source == "training" else "")
    return " · ".join(filter(None, parts))


def _described(row: RowOfMatrix) -> str:
    return " · ".join(filter(None, (row.version, row.export, *row.aliases, row.created_at[:10])))


def _short(name: str, matrix: EvaluationMatrix) -> str:
    return name.removeprefix(f"{matrix.project}/")


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def _placed(entries: Iterable[tuple[str, str]], *, width: float) -> tuple[list[tuple[str, str, float, int]], int]:
    """Each entry with its place from the left and its line, and the number of lines."""
    placed: list[tuple[str, str, float, int]] = []
    x, line = 0.0, 0
    for mark, label in entries:
        needed = _space(mark) + width_of(label, 11)
        if placed and x + needed > width:
            x, line = 0.0, line + 1
        placed.append((mark, label, x, line))
        x += needed + 24
    return placed, line + 1


def _space(mark: str) -> float:
    """Of a mark, and between it and its label."""
    return 12 if mark == "f0" else 30 if "|" not in mark else width_of(mark.partition("|")[0], 11, bold=True) + 8


def _legend_entry(svg: ElementTree.Element, mark: str, label: str, *, x: float, y: float) -> None:
    text, _, tone = mark.partition("|")
    if tone:
        add_text(svg, text, x, y, size=11, style=tone, weight="600")
    else:
        add(svg, "rect", x=x, y=y - 11, width=_space(mark) - 8, height=14, rx=2 if mark == "f0" else 4, class_=mark)
    add_text(svg, label, x + _space(mark), y, size=11, style="dim")


def _legend_entries(matrix: EvaluationMatrix) -> Iterator[tuple[str, str]]:
    cells = [cell for row in matrix.rows for cell in row.cells]
    if any(cell.value is not None for cell in cells):
        yield "box q0", f"within {NEAR[0]} of the best of its column"
        yield "box q2", f"within {NEAR[2]}"
    if any(cell.source == "training" for cell in cells):
        yield "box training", "measured when it was published"
    fingerprints = {column.fingerprint for column in matrix.datasets}
    if any(row.trained_on in fingerprints for row in matrix.rows):
        yield "f0", "the dataset it was trained on"
    if any(cell.seen_images for cell in cells):
        yield "2 seen|bad", "images it was trained on, or near-duplicates of them"
    if any(cell.seen_known is False for cell in cells):
        yield "?|dim", "what it was trained on is not fully known"
    if any(cell.missing_classes for cell in cells):
        yield "−1 cl.|bad", "classes it does not have"
