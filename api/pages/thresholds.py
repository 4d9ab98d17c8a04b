"""Precision, recall and F1 of a version over the threshold, and what it does to the boxes of real images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.images.selection import cursor_of_number, number_of_cursor
from api.pages.answers import Answers, answers_path
from api.pages.matrix import Chosen
from api.pages.rendering import render
from api.pages.store_away import noting_the_store
from api.pages.version_page import ChosenEvaluation, version_page
from core.services.context import Platform
from pipeline.evaluation.read_answers import Order, read_answers, read_answers_summary

router = APIRouter(prefix="/ui/projects/{project}/versions/{number}", include_in_schema=False)

TILES = 12  # on a page of the slider
WORST = 18

ClassName = Annotated[str | None, Query(alias="class", max_length=1000, description="The name of a class.")]
Listed = Annotated[Order, Query(description="The order of the images.")]


@router.get("/thresholds")
def thresholds(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    number: str,
    on: Chosen = None,
    class_name: ClassName = None,
    order: Listed = "worst",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Raises what finding the version raises, RequestInvalid, CursorInvalid."""
    page = version_page(platform, project, number)
    chosen = page.chosen(on)
    values: dict[str, Any] = {"curve": None, "tiles": [], "next_cursor": None, "classes": [], "index": None}
    with noting_the_store(request) as store:
        if chosen and (file := answers_path(request, platform, chosen[1])):
            values = _with_curve(request, platform, chosen, file, class_name, order, cursor)
    return render(
        request,
        "models/thresholds.html",
        nav="projects",
        page=page,
        tab="thresholds",
        away=store.problem,
        evaluation=chosen[0] if chosen else None,
        order=order,
        **values,
    )


@router.get("/images")
def worst_images(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    number: str,
    on: Chosen = None,
    order: Listed = "worst",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Those with most errors, or where the model is surest of what the labels deny.

    Raises what finding the version raises, RequestInvalid, CursorInvalid.
    """
    page = version_page(platform, project, number)
    chosen = page.chosen(on)
    values: dict[str, Any] = {"tiles": None, "total": 0, "next_cursor": None, "labels": []}
    with noting_the_store(request) as store:
        if chosen and (file := answers_path(request, platform, chosen[1])):
            values = _with_images(request, platform, chosen, file, order, cursor)
    return render(
        request,
        "models/images.html",
        nav="projects",
        page=page,
        tab="images",
        away=store.problem,
        evaluation=chosen[0] if chosen else None,
        order=order,
        has_suspects=any(each["name"] == "suspect_labels.json" for each in page.version["artifacts"]),
        **values,
    )


def _with_curve(
    request: Request,
    platform: Platform,
    chosen: ChosenEvaluation,
    file: Path,
    class_name: str | None,
    order: Order,
    cursor: str | None,
) -> dict[str, Any]:
    summary = read_answers_summary(file)
    labels, curves = summary["labels"], summary["curves"]
    classes = [labels[int(index)] for index in curves["classes"]]
    index = labels.index(class_name) if class_name in classes else None
    threshold = _threshold(chosen[0].metrics, labels[index] if index is not None else None)
    found = read_answers(file, order, after=number_of_cursor(cursor), limit=TILES)
    answers = Answers(platform, request, chosen[1], labels)
    curve = curves["all"] if index is None else curves["classes"][str(index)]
    return {
        "curve": {"x": curves["x"], **curve},
        "tiles": answers.tiles(found, least=threshold, all_boxes=True),
        "next_cursor": None if found.end is None else cursor_of_number(found.end),
        "classes": classes,
        "index": index,
        "at": _at(curves["x"], curve, threshold),
        "threshold": threshold,
        "labels": labels,
    }


def _with_images(
    request: Request, platform: Platform, chosen: ChosenEvaluation, file: Path, order: Order, cursor: str | None
) -> dict[str, Any]:
    labels = read_answers_summary(file)["labels"]
    found = read_answers(file, order, after=number_of_cursor(cursor), limit=WORST)
    least = [_threshold(chosen[0].metrics, name) for name in labels]
    return {
        "tiles": Answers(platform, request, chosen[1], labels).tiles(found, least=least),
        "total": found.total,
        "next_cursor": None if found.end is None else cursor_of_number(found.end),
        "labels": labels,
    }


def _threshold(metrics: Mapping[str, Any], class_name: str | None) -> float:
    """That of the version, for the class or for all."""
    found = metrics.get("thresholds") or {}
    whole = found.get("all", 0.25)
    return float((found.get("classes") or {}).get(class_name, whole) if class_name is not None else whole)


def _at(steps: Sequence[float], curve: Mapping[str, Sequence[float | None]], threshold: float) -> dict[str, Any]:
    """The figures of the curve at its step that is nearest to `threshold`."""
    place = min(range(len(steps)), key=lambda each: abs(steps[each] - threshold))
    return {name: values[place] for name, values in curve.items()}
