"""The model versions of a project, and each of them: figures, exports, aliases, files."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.pages.learned import unlearned_metric
from api.pages.matrix import Chosen
from api.pages.model_card import model_card
from api.pages.per_class import class_table
from api.pages.rendering import render
from api.pages.store_away import noting_the_store
from api.pages.stored_json import evaluation_json, stored_json
from api.pages.version_figures import NAMES, evaluation_figures, figure_cards, seen_note
from api.pages.version_page import VersionPage, version_page
from api.routes.exports import PLOTTED, read_exports
from api.schemas.evaluation_matrix import matrix_of
from api.schemas.evaluations import Split
from api.schemas.exports import Export
from api.schemas.models import Alias, alias_of_project
from api.schemas.operations import operation_of
from core.domain.errors import BundleFailed, BundleWithoutOnnx, DarkroomError
from core.domain.evaluation_figures import METRICS_OF_KIND
from core.domain.states import JobState
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from core.services.models.alias_histories import alias_histories
from core.services.models.bundles import Standing, find_bundle
from core.services.models.evaluation_matrix import evaluation_matrix
from core.services.models.served import SERVED_FORMATS
from core.services.models.versions import find_artifact
from core.services.views import prepared_set_of
from pipeline.export.catalogue import FORMATS
from pipeline.index.read import find_paths

router = APIRouter(prefix="/ui/projects/{project}", include_in_schema=False)

LISTED = 50  # versions of a page
DATASETS = 50  # that an evaluation may be made on, the newest
SUSPECTS = 48
CLASSES = 100  # in the table of a version, the first of its order
_VERSION = "/versions/{number}"


class MoveView(NamedTuple):
    """A move of an alias. `before`: the version that it pointed at until then, empty where there was none."""

    action: str
    before: str
    version: str
    at: str


class AliasView(NamedTuple):
    """`earlier`: the number of the version that a rollback would return to. `moves`: the newest first."""

    alias: Alias
    earlier: int | None
    moves: list[MoveView]


@router.get("/models")
def list_models(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    split: Split = "test",
    metric: Annotated[str | None, Query(max_length=20)] = None,
    sort: Annotated[str, Query(max_length=80)] = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Versions x datasets. Raises ProjectNotFound, ProjectRenamed, Gone, CursorInvalid, RequestInvalid."""
    found = evaluation_matrix(platform.db, project, split=split, metric=metric, cursor=cursor, limit=LISTED)
    matrix = matrix_of(found, cursor=cursor, limit=LISTED)
    rows = list(zip(found.rows, matrix.rows, strict=True))
    column = next((place for place, each in enumerate(matrix.datasets) if each.job_id == sort.removeprefix("-")), None)
    if column is not None:
        rows.sort(key=lambda row: row[1].cells[column].value or 0.0, reverse=not sort.startswith("-"))
    best = [max((row[1].cells[place].value or 0 for row in rows), default=0) for place in range(len(matrix.datasets))]
    return render(
        request,
        "models/list.html",
        nav="projects",
        project=found.slug,
        kind=found.kind,
        matrix=matrix,
        rows=rows,
        best=best,
        trained_on={each.fingerprint: each.name for each in found.datasets},
        sort=sort,
        names=NAMES,
        aliases=_aliases(platform, found.slug),
    )


@router.get(_VERSION)
def read_version(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    number: str,
    on: Chosen = None,
    sort: Annotated[str, Query(max_length=40)] = "",
    every_class: Annotated[bool, Query(alias="all")] = False,
) -> HTMLResponse:
    """Figures side by side and per class: of the first CLASSES, or of `all`. Raises what finding the version raises,
    RequestInvalid."""
    page = version_page(platform, project, number)
    exports = read_exports(platform, page.row.project, f"v{page.row.number}", cursor=None, limit=PLOTTED)
    source = on or ""
    per_class: Mapping[str, Mapping[str, Any]] = {}
    with noting_the_store(request) as store:
        source, per_class = _per_class(platform, page, on)
    moves = [each for each in _aliases(platform, page.row.project) if _was(each.alias, page.row.number)]
    return render(
        request,
        "models/version.html",
        nav="projects",
        page=page,
        tab="overview",
        cards=figure_cards(page, exports.items),
        names=NAMES,
        main=METRICS_OF_KIND[page.kind][0],
        unlearned_metric=unlearned_metric(page.row.metrics, page.row.params) if page.row.run_id else "",
        away=store.problem,
        source=source,
        table=class_table(page.kind, per_class, sort, most=None if every_class else CLASSES) if per_class else None,
        every_class=every_class,
        aliases=moves,
        is_served=_is_served(platform, exports.items),
        is_exported=bool(exports.waiting),
    )


@router.get(f"{_VERSION}/exports")
def exports_of_version(
    request: Request, platform: CurrentPlatform, project: OfProject, number: str, cursor: Cursor = None
) -> HTMLResponse:
    """Exports with their certificates, the bundle. Raises what finding the version raises, CursorInvalid."""
    page = version_page(platform, project, number)
    exports = read_exports(platform, page.row.project, f"v{page.row.number}", cursor=cursor, limit=PLOTTED)
    bundle, refused = _bundle(platform, page)
    waiting = [*exports.waiting]
    if bundle and bundle.operation and bundle.operation.id not in {each.operation_id for each in waiting}:
        waiting.append(operation_of(bundle.operation, {page.row.project_id: page.row.project}))
    return render(
        request,
        "models/exports.html",
        nav="projects",
        page=page,
        tab="exports",
        exports=exports,
        formats=FORMATS,
        bundle=bundle,
        bundle_refused=refused,
        waiting=waiting,
        topics=[each.operation_id for each in waiting],
    )


@router.get(f"{_VERSION}/evaluations")
def evaluations_of_version(
    request: Request, platform: CurrentPlatform, project: OfProject, number: str
) -> HTMLResponse:
    """What it was evaluated on, with the files of each. Raises what finding the version raises."""
    page = version_page(platform, project, number)
    return render(
        request,
        "models/evaluations.html",
        nav="projects",
        page=page,
        tab="evaluations",
        figures={each.evaluation_id: evaluation_figures(page.kind, each) for each in page.evaluations},
        notes={each.evaluation_id: seen_note(each) for each in page.evaluations},
        metrics=METRICS_OF_KIND[page.kind],
        names=NAMES,
        datasets=_datasets(platform, page),
        topics=[each.operation_id for each in page.evaluating],
    )


@router.get(f"{_VERSION}/suspects")
def suspect_labels(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    number: str,
    page_number: Annotated[int, Query(alias="page", ge=1, le=10_000)] = 1,
) -> HTMLResponse:
    """Labels of the training's dataset that are likely wrong, by its training. Raises what finding the version raises,
    ArtifactNotFound."""
    page = version_page(platform, project, number)
    artifact = find_artifact(platform.db, page.row, "suspect_labels.json")
    start = (page_number - 1) * SUSPECTS
    found: dict[str, Any] = {}
    images: Mapping[str, Any] = {}
    with noting_the_store(request) as store:
        found = stored_json(platform, artifact.key, artifact.bytes)
        paths = [each["path"] for each in found.get("labels", [])[start : start + SUSPECTS]]
        images = _images(request, platform, page, paths)
    labels = found.get("labels", [])
    return render(
        request,
        "models/suspects.html",
        nav="projects",
        page=page,
        tab="images",
        away=store.problem,
        found=found,
        labels=labels[start : start + SUSPECTS],
        images=images,
        page_number=page_number,
        is_last=start + SUSPECTS >= len(labels),
    )


@router.get(f"{_VERSION}/files")
def files_of_version(request: Request, platform: CurrentPlatform, project: OfProject, number: str) -> HTMLResponse:
    """Artifacts, plots, params, the model card. Raises what finding the version raises."""
    page = version_page(platform, project, number)
    standing, _ = _bundle(platform, page)
    bundle = standing.bundle if standing else None
    place = f"/models/{page.row.project}/v{page.row.number}/artifacts"
    card = None
    with noting_the_store(request) as store:
        card = model_card(platform, bundle, artifacts=place) if bundle else None
    plots = [each for each in page.version["artifacts"] if each["media_type"] == "image/png"]
    return render(
        request,
        "models/files.html",
        nav="projects",
        page=page,
        tab="files",
        plots=plots,
        card=card,
        away=store.problem,
    )


def _per_class(platform: Platform, page: VersionPage, on: str | None) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    """Of the split of the training's report, or of the evaluation that `on` names; and what it is of."""
    metrics = page.version["metrics"]
    if on in ("val", "test", "train") and metrics.get(on):
        return on, metrics[on].get("per_class") or {}
    if on is None:
        reported = next((split for split in ("test", "val") if (metrics.get(split) or {}).get("per_class")), None)
        if reported:
            return reported, metrics[reported]["per_class"]
        on = page.own[0].evaluation_id if page.own else None
    chosen = page.chosen(on) if on else None
    if chosen is None:
        return "", {}
    found = evaluation_json(platform, chosen[0].evaluation_id, "metrics.json").get(chosen[0].split) or {}
    return chosen[0].evaluation_id, found.get("per_class") or {}


def _aliases(platform: Platform, project: str) -> list[AliasView]:
    found = []
    for each in alias_histories(platform.db, project):
        alias = alias_of_project(each.history, project, warning=None)
        found.append(AliasView(alias, each.earlier, _moves(alias)))
    return found


def _moves(alias: Alias) -> list[MoveView]:
    found, before = [], ""
    for move in alias.history:
        found.append(MoveView(move.action, before, move.version, str(move.at)))
        before = "" if move.action == "remove" else move.version
    return found[::-1]


def _was(alias: Alias, number: int) -> bool:
    """Whether it points at the version, or did."""
    return any(move.version == f"v{number}" for move in alias.history)


def _is_served(platform: Platform, exports: Sequence[Export]) -> bool:
    """Whether predictions can be answered by one of them, as `find_served` chooses."""
    precision = platform.settings.serving_precision
    return any(each.passed and each.format in SERVED_FORMATS and each.precision == precision for each in exports)


def _datasets(platform: Platform, page: VersionPage) -> list[dict[str, Any]]:
    """Ready ones of the project, the newest first."""
    rows = list_jobs(platform.db, cursor=None, limit=DATASETS, state=JobState.READY, project=page.row.project).items
    return [
        {"job_id": row.id, "name": f"d{row.revision}", "title": row.name, "fingerprint": row.fingerprint}
        for row in rows
        if row.fingerprint
    ]


def _bundle(platform: Platform, page: VersionPage) -> tuple[Standing | None, DarkroomError | None]:
    try:
        return find_bundle(platform.db, page.row.project, f"v{page.row.number}"), None
    except (BundleWithoutOnnx, BundleFailed) as error:
        return None, error


def _images(request: Request, platform: Platform, page: VersionPage, paths: Sequence[str]) -> Mapping[str, Any]:
    """Those of `paths` that the dataset of the training has an index of."""
    if page.dataset is None or page.dataset.deleted_at is not None:
        return {}
    _, dataset = prepared_set_of(platform.db, page.dataset.id)
    if dataset.index_key is None:
        return {}
    return find_paths(request.app.state.image_indexes.path_of(dataset), paths)
