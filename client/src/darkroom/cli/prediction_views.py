"""Predictions as tables: the boxes or classes of each image, the best first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.cli.tables import Column, Rows, styled
from darkroom.cli.text import counted, safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from darkroom.schemas import Box, Label, Prediction

BAR = 20
MAX_ROWS = 12  # of each of several images; --json has all


def predictions(names: Sequence[str], found: "Sequence[Prediction]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_model(found)]
    for name, each in zip(names, found, strict=True):
        parts.append(Text(""))
        parts.append(_headline(name, each))
        if each.boxes or each.labels:
            parts.append(_rows(each, limit=MAX_ROWS if len(found) > 1 else None))
    return Group(*parts)


def _model(found: "Sequence[Prediction]") -> "Text":
    from rich.text import Text

    model = found[0].model
    text = Text.assemble((safe(model.name), "bold"))
    text.append(
        f"  {safe(model.format)} on {safe(model.engine)}, {safe(model.precision)}, sha256 {model.sha256[:12]}", "dim"
    )
    return text


def _headline(name: str, found: "Prediction") -> "Text":
    from rich.text import Text

    text = Text(safe(name), style="bold")
    if found.error is not None:
        return text.append(f"  {safe(found.error)}", "red")
    answer = found.answer
    what = counted(len(found.boxes), "box", plural="boxes") if not found.labels else "classes"
    loading = answer.milliseconds.get("loading", 0.0)
    spent = f"{sum(answer.milliseconds.values()) - loading:.0f} ms"
    if loading:
        spent += f", after {loading:.0f} ms of loading the model"
    return text.append(f"  {answer.width}x{answer.height}  {what}  {spent}", "not bold dim")


def _rows(found: "Prediction", *, limit: int | None) -> Rows:
    best: list[Box | Label] = sorted((*found.boxes, *found.labels), key=lambda each: -each.score)
    kept = best[:limit] if limit else best
    columns = [Column("class"), Column("score", right=True), Column("", from_width=70)]
    if found.boxes:
        columns += [Column(name, right=True) for name in ("x1", "y1", "x2", "y2")]
    cells: list[list[str | Text]] = [
        [each.label, f"{each.score:.3f}", _bar(each.score), *_corners(each)] for each in kept
    ]
    if len(best) > len(kept):
        cells.append([f"... {len(best) - len(kept)} more", "", "", *([""] * 4 if found.boxes else [])])
    return Rows(columns, cells)


def _corners(each: "Box | Label") -> list[str]:
    return [f"{getattr(each, name):.0f}" for name in ("x1", "y1", "x2", "y2")] if hasattr(each, "x1") else []


def _bar(score: float) -> "Text":
    length = round(BAR * score)
    return styled("━" * length, "cyan").append("─" * (BAR - length), "bright_black")
