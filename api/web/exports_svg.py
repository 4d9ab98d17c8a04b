"""The exports of a version as an SVG: how fast each answers, and how well. As a drawn lineage: no script, no font.

Time runs on a logarithmic scale; the bars are the intervals of the change of the metric. Below are the same figures.
An export was timed beside the model, in turns; two exports perhaps on days when the machine was busy otherwise. So what
is drawn of each is its ratio to the model: its time, if the model took as long as in the newest of these runs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

from api.schemas.exports import CLAIMED_SPEED_UPS, Export, ExportFigure, Exports, Speed
from api.web.svg_elements import add, add_text
from api.web.svg_style import STYLE
from api.web.svg_text import clean, fitted, width_of

WIDTH, LEFT, RIGHT, TOP, PLOT = 860, 74, 836, 118, 340  # px; PLOT: height of the plot
ROW = 24  # px: height of a line of the table
_COLUMNS = ((LEFT, "start"), (290, "end"), (360, "end"), (440, "end"), (520, "end"), (610, "end"), (836, "end"))
_FRAMEWORKS = {"pytorch": "PyTorch", "onnxruntime": "onnxruntime"}
_FORMATS = ("onnx", "openvino", "torchscript", "tensorrt")
_SIDES = {"fp32": 0, "fp16": 4, "bf16": 5, "int8": 3}  # of the marker; 0: a disc
_SMALLEST_RANGE = 0.02  # of the metric: equal models shall not look different


class Point(NamedTuple):
    """An export with figures."""

    export: Export
    figure: ExportFigure
    model: Speed
    file: Speed
    scale: float  # from the times of its run to those of the newest run

    @property
    def milliseconds(self) -> float:
        return self.file.p50 * self.scale

    @property
    def name(self) -> str:
        nms = " nms" if self.export.nms == "inside" else ""
        return f"{self.export.format} {self.export.precision}{nms}"

    @property
    def hue(self) -> int:
        return _FORMATS.index(self.export.format) if self.export.format in _FORMATS else len(_FORMATS)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From milliseconds and a metric to pixels."""

    fastest: float
    slowest: float
    low: float
    high: float

    def x(self, milliseconds: float) -> float:
        share = math.log(milliseconds / self.fastest) / math.log(self.slowest / self.fastest)
        return LEFT + share * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return TOP + PLOT * (self.high - value) / (self.high - self.low)


def exports_svg(exports: Exports) -> bytes:
    """A well-formed document in UTF-8."""
    points = [*_points(exports.items)]
    height = TOP + PLOT + 84 + ROW * (len(points) + 3) if points else TOP + 60
    svg = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=str(WIDTH),
        height=str(height),
        role="img",
    )
    add(svg, "title").text = clean(f"Exports of {exports.name}")
    add(svg, "style").text = STYLE
    add(svg, "rect", width="100%", height="100%", class_="paper")
    name = fitted(clean(exports.name), width=WIDTH - 2 * 24, size=24, bold=True)
    add_text(svg, name, 24, 46, size=24, style="ink", weight="700")
    add_text(svg, _subtitle(exports, points), 24, 70, size=13, style="dim")
    if points:
        framework = _framework(exports)
        _plot(svg, points, framework)
        _table(svg, points, framework, y=TOP + PLOT + 84)
    document: bytes = ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True)
    return document


def _points(exports: Sequence[Export]) -> Iterator[Point]:
    """Newest first."""
    newest: float | None = None
    for each in exports:
        if each.figure and each.milliseconds:
            model, file = each.milliseconds.model, each.milliseconds.export
            newest = newest or model.p50
            yield Point(each, each.figure, model, file, newest / model.p50)


def _subtitle(exports: Exports, points: Sequence[Point]) -> str:
    if not points:
        made = "No export was compared yet" if exports.items else "No exports yet"
        return f"{made}. POST {exports.links['self']} makes one."
    figure, images = points[0].figure, points[0].export.images
    beside = f"each beside the same model in {_framework(exports)}"
    return f"{figure.name} on {images} held-out images, and the median time of one, {beside}"


def _framework(exports: Exports) -> str:
    return _FRAMEWORKS[exports.baseline.framework] if exports.baseline else ""


def _plot(svg: ElementTree.Element, points: Sequence[Point], framework: str) -> None:
    scale = _scale_of(points)
    _axes(svg, scale, points[0].figure.name)
    reference = points[0]
    x, y = scale.x(reference.model.p50), scale.y(reference.figure.model)
    for d in (f"M{x:g} {TOP}V{TOP + PLOT}", f"M{LEFT} {y:g}H{RIGHT}"):
        add(svg, "path", d=d, class_="line", stroke_dasharray="5 4", stroke_width=1)
    taken = [(x - 7, y - 7, x + 7, y + 7), (LEFT, y - 1, RIGHT, y + 1), (x - 1, TOP, x + 1, TOP + PLOT)]
    add(svg, "path", d=f"M{x - 6:g} {y:g}H{x + 6:g}M{x:g} {y - 6:g}V{y + 6:g}", class_="line", stroke_width=3)
    for point in points:
        taken.append(_mark(svg, scale, point))
    _label(svg, framework, x, y, taken, style="ink")
    for point in points:
        _label(svg, point.name, scale.x(point.milliseconds), scale.y(point.figure.export), taken, style=f"f{point.hue}")


def _scale_of(points: Sequence[Point]) -> _Scale:
    times = [points[0].model.p50, *(point.milliseconds for point in points)]
    values = [each for point in points for each in (*_interval(point), point.figure.model, point.figure.export)]
    middle, spread = (min(values) + max(values)) / 2, max(1.3 * (max(values) - min(values)), _SMALLEST_RANGE)
    return _Scale(min(times) / 1.4, max(times) * 1.4, middle - spread / 2, middle + spread / 2)


def _interval(point: Point) -> tuple[float, float]:
    return point.figure.model + point.figure.low, point.figure.model + point.figure.high


def _axes(svg: ElementTree.Element, scale: _Scale, figure: str) -> None:
    bottom = TOP + PLOT
    for value in _even(scale.low, scale.high):
        y = scale.y(value)
        add(svg, "path", d=f"M{LEFT} {y:g}H{RIGHT}", class_="thin")
        add_text(svg, f"{value:.4g}", LEFT - 10, y + 4, size=12, style="dim", anchor="end")
    for value in _logarithmic(scale.fastest, scale.slowest):
        x = scale.x(value)
        add(svg, "path", d=f"M{x:g} {TOP}V{bottom}", class_="thin")
        add_text(svg, f"{value:g}", x, bottom + 20, size=12, style="dim", anchor="middle")
    add_text(svg, figure, 24, TOP - 16, size=12, style="ink", weight="600")
    add_text(svg, "milliseconds per image, p50", RIGHT, bottom + 40, size=12, style="ink", weight="600", anchor="end")
    add_text(svg, "← faster", LEFT, bottom + 40, size=12, style="dim")


def _even(low: float, high: float) -> Iterator[float]:
    """About five round values."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 6)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _logarithmic(low: float, high: float) -> Iterator[float]:
    """1, 2, 5, 10, ..."""
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (times * 10.0**exponent for times in (1, 2, 5) if low <= times * 10.0**exponent <= high)


def _mark(svg: ElementTree.Element, scale: _Scale, point: Point) -> tuple[float, float, float, float]:
    """Returns the place it takes: left, top, right, bottom."""
    x, y = scale.x(point.milliseconds), scale.y(point.figure.export)
    low, high = map(scale.y, _interval(point))
    group = add(svg, "g", id=point.export.export_id)
    measured = f"measured: {point.file.p50:g} ms beside {point.model.p50:g} ms"
    add(group, "title").text = f"{point.name}: {point.figure.export:.4f}; {measured}"
    d = f"M{x:g} {low:g}V{high:g}M{x - 4:g} {low:g}h8M{x - 4:g} {high:g}h8"
    add(group, "path", d=d, class_=f"s{point.hue}", stroke_width=1.6)
    _marker(group, point, x, y)
    return x - 7, min(high, y - 7), x + 7, max(low, y + 7)


def _marker(parent: ElementTree.Element, point: Point, x: float, y: float) -> None:
    """Hollow where the certificate did not pass."""
    filled = f"f{point.hue}" if point.export.passed else f"paper s{point.hue}"
    sides = _SIDES.get(point.export.precision, 5)
    if sides == 0:
        add(parent, "circle", cx=x, cy=y, r=6, class_=filled, stroke_width=2)
        return
    turn = math.pi / 4 if sides == 4 else math.pi / 2
    corners = [(turn + 2 * math.pi * index / sides) for index in range(sides)]
    shape = " ".join(f"{x + 7.5 * math.cos(each):.2f},{y - 7.5 * math.sin(each):.2f}" for each in corners)
    add(parent, "polygon", points=shape, class_=filled, stroke_width=2)


def _label(
    svg: ElementTree.Element,
    text: str,
    x: float,
    y: float,
    taken: list[tuple[float, float, float, float]],
    *,
    style: str,
) -> None:
    """Beside its mark, where nothing else is; left out where there is no such place: the table has it."""
    width = width_of(text, 12, bold=True)
    for dx, dy in ((12, 4), (-12 - width, 4), (-width / 2, -14), (-width / 2, 24), (12, -12), (12, 20)):
        place = (x + dx, y + dy - 11, x + dx + width, y + dy + 3)
        inside = place[0] >= LEFT and place[2] <= RIGHT + 16 and place[1] >= TOP and place[3] <= TOP + PLOT
        if inside and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            add_text(svg, text, x + dx, y + dy, size=12, style=style, weight="600")
            return


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _table(svg: ElementTree.Element, points: Sequence[Point], framework: str, *, y: float) -> None:
    name = points[0].figure.name
    _row(
        svg, ("", "MB", "ms, p50", "images/s", "speed-up", name, "change, 95 % interval"), y, style="dim", weight="600"
    )
    add(svg, "path", d=f"M24 {y + 8:g}H{RIGHT}", class_="thin")
    model = points[0].model
    speed = (f"{model.p50:.1f}", f"{model.images_per_second:.0f}")
    _row(svg, (framework, "", *speed, "1.00x", f"{points[0].figure.model:.4f}", ""), y + ROW, style="ink")
    for number, point in enumerate(points, start=2):
        _marker(svg, point, 40, y + ROW * number - 4)
        failed = "" if point.export.passed else ", not passed"
        _row(
            svg, (point.name + failed, *_cells(point)), y + ROW * number, style="ink" if point.export.passed else "bad"
        )

    if framework == _FRAMEWORKS["pytorch"]:
        _claims(svg, y + ROW * (len(points) + 2))


def _claims(svg: ElementTree.Element, y: float) -> None:
    claims = ", ".join(f"{name} {times}x" for name, times in CLAIMED_SPEED_UPS.items())
    add_text(svg, f"Often claimed over PyTorch: {claims}. Above is what was measured.", 24, y, size=12, style="dim")


def _cells(point: Point) -> tuple[str, ...]:
    figure = point.figure
    return (
        f"{point.export.bytes / 1e6:.1f}",
        f"{point.milliseconds:.1f}",
        f"{point.file.images_per_second / point.scale:.0f}",
        f"{point.export.speed_up:.2f}x",
        f"{figure.export:.4f}",
        f"{figure.change:+.4f} ({figure.low:+.4f} to {figure.high:+.4f})",
    )


def _row(svg: ElementTree.Element, cells: Sequence[str], y: float, *, style: str, weight: str = "400") -> None:
    for text, (x, anchor) in zip(cells, _COLUMNS, strict=True):
        add_text(svg, text, x, y, size=12, style=style, weight=weight, anchor=anchor)
