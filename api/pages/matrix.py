"""The confusion matrix of a version, whose cells open the images behind them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.images.selection import cursor_of_number, number_of_cursor
from api.pages.answers import Answers, answers_path
from api.pages.rendering import render
from api.pages.store_away import noting_the_store
from api.pages.stored_json import evaluation_json
from api.pages.version_page import ChosenEvaluation, version_page
from core.services.context import Platform
from pipeline.evaluation.read_answers import read_answers_summary, read_cell

router = APIRouter(prefix="/ui/projects/{project}/versions/{number}", include_in_schema=False)

TILES = 24
SHADES = 9  # of a cell, by its share of the row; each is a class of the style sheet
CONFUSED = 12  # pairs that are listed
MANY = 30  # labels: of more, those that are confused most are rendered first
CONFUSED_LABELS = 20

_WITHOUT_IMAGES = {"tiles": None, "cell": None, "next_cursor": None, "total": 0, "linked": False}

Chosen = Annotated[str | None, Query(max_length=80, description="The id of an evaluation.")]
Label = Annotated[int | None, Query(ge=0, le=100_000, description="Index of a label.")]


@dataclass(frozen=True, slots=True)
class Cell:
    """`share`: of the row. `shade`: 1 to SHADES, 0 for nothing."""

    row: int
    column: int
    count: int
    share: float
    shade: int


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """`listed`: indices of the labels that have a row and a column. `rows`: their cells, None where nothing was
    counted. `totals`: of every label."""

    labels: Sequence[str]
    listed: Sequence[int]
    rows: Sequence[Sequence[Cell | None]]
    totals: Sequence[int]
    confused: Sequence[Cell]
    min_score: float | None

    @property
    def can_be_shorter(self) -> bool:
        return len(self.labels) > MANY

    @property
    def has_background(self) -> bool:
        return self.min_score is not None


@router.get("/confusion")
def confusion(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    number: str,
    on: Chosen = None,
    truth: Label = None,
    predicted: Label = None,
    part: Annotated[Literal["all", "confused"] | None, Query()] = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Of the chosen evaluation; without one, that of the training, whose cells have no images, and so where the store
    does not answer. `part`: of many classes those that are confused most, which is the default, or all.

    Raises what finding the version raises, RequestInvalid, CursorInvalid.
    """
    page = version_page(platform, project, number)
    chosen = page.chosen(on)
    cell = (truth, predicted) if truth is not None and predicted is not None else None
    values: dict[str, Any] = {}
    with noting_the_store(request) as store:
        values = _found(request, platform, chosen, cell, is_whole=part == "all", cursor=cursor)
    if "matrix" not in values:
        values["matrix"] = _of_training(page.version["metrics"], is_whole=part == "all")
    return render(
        request,
        "models/confusion.html",
        nav="projects",
        page=page,
        tab="confusion",
        evaluation=chosen[0] if chosen else None,
        part=part,
        away=store.problem,
        **_WITHOUT_IMAGES | values,
    )


def _found(
    request: Request,
    platform: Platform,
    chosen: ChosenEvaluation | None,
    cell: tuple[int, int] | None,
    *,
    is_whole: bool,
    cursor: str | None,
) -> dict[str, Any]:
    file = answers_path(request, platform, chosen[1]) if chosen else None
    if chosen is None:
        return {}
    if file is None:
        return {
            "matrix": _of_training(
                evaluation_json(platform, chosen[0].evaluation_id, "metrics.json"), is_whole=is_whole
            )
        }
    summary = read_answers_summary(file)
    matrix = matrix_of(summary["labels"], summary["cells"], min_score=summary["min_score"], is_whole=is_whole)
    values: dict[str, Any] = {"matrix": matrix, "linked": True}
    if cell is None or max(cell) >= len(matrix.labels):
        return values
    found = read_cell(file, *cell, after=number_of_cursor(cursor), limit=TILES)
    least = summary["min_score"] if summary["min_score"] is not None else 0.0
    return values | {
        "tiles": Answers(platform, request, chosen[1], matrix.labels).tiles(found, least=least),
        "cell": cell,
        "total": found.total,
        "next_cursor": None if found.end is None else cursor_of_number(found.end),
    }


def _of_training(metrics: Mapping[str, Any], *, is_whole: bool) -> ConfusionMatrix | None:
    """That of metrics.json: of the training, or of an evaluation that is older than its results by image."""
    for split in ("test", "val", "train"):
        found = (metrics.get(split) or {}).get("confusion_matrix")
        if found:
            cells = [
                (row, column, count)
                for row, counts in enumerate(found["matrix"])
                for column, count in enumerate(counts)
                if count
            ]
            return matrix_of(found["labels"], cells, min_score=found.get("min_score"), is_whole=is_whole)
    return None


def matrix_of(
    labels: Sequence[str], cells: Sequence[Sequence[int]], *, min_score: float | None, is_whole: bool
) -> ConfusionMatrix:
    """`cells`: (row, column, count), those that are not 0. Not `is_whole`: of many labels those most confused."""
    totals = [0] * len(labels)
    for row, _, count in cells:
        totals[row] += count
    found = {(row, column): _cell(row, column, count, totals[row]) for row, column, count in cells}
    background = len(labels) - 1 if min_score is not None else -1
    wrong = [each for each in found.values() if each.row != each.column]
    between = [each for each in wrong if background not in (each.row, each.column)]
    listed = range(len(labels)) if is_whole or len(labels) <= MANY else _most_confused(between, background)
    return ConfusionMatrix(
        labels=labels,
        listed=listed,
        rows=[[found.get((row, column)) for column in listed] for row in listed],
        totals=totals,
        confused=sorted(between or wrong, key=lambda each: (-each.count, -each.share))[:CONFUSED],
        min_score=min_score,
    )


def _most_confused(wrong: Sequence[Cell], background: int) -> list[int]:
    """In the order of the labels, and the background."""
    counts: Counter[int] = Counter()
    for each in wrong:
        counts[each.row] += each.count
        counts[each.column] += each.count
    chosen = {index for index, _ in counts.most_common(CONFUSED_LABELS)}
    return [*sorted(chosen), *([background] if background >= 0 else [])]


def _cell(row: int, column: int, count: int, total: int) -> Cell:
    share = count / total
    return Cell(row, column, count, share, max(1, round(share * SHADES)))
