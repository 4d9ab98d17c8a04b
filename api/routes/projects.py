"""Projects: create, list, read, change and delete them; list what is in one."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, OfProject
from api.http.idempotency import Idempotency
from api.http.reading import CurrentReads
from api.routes.jobs import page_of_jobs
from api.routes.models import page_of_models
from api.routes.runs import page_of_runs
from api.schemas import PageOf
from api.schemas.jobs import JobItem
from api.schemas.models import ModelVersion
from api.schemas.projects import DeletedProject, NewProject, Project, ProjectChanges, deleted_project, project_of
from api.schemas.runs import Run
from core.db.tables import ProjectRow
from core.domain import errors
from core.domain.states import JobState, RunState
from core.services.context import Platform
from core.services.jobs.project_deletion import delete_project
from core.services.projects import commands as projects
from core.services.projects.overviews import new_overview, project_overviews
from http_common.openapi import problem_responses

router = APIRouter(prefix="/projects", tags=["projects"])

_MISSING = (errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone)
_LISTED = problem_responses(errors.CursorInvalid, *_MISSING)


@router.post(
    "",
    status_code=201,
    response_model=Project,
    summary="Create a project",
    responses=problem_responses(
        errors.ProjectExists, errors.SlugInvalid, errors.RequestInFlight, errors.IdempotencyKeyReused
    ),
)
def create_project(platform: CurrentPlatform, idempotency: Idempotency, body: NewProject) -> Project | Response:
    """Uploads join it with `?project=`, which also creates a project that does not exist."""
    meaning = body.model_dump(mode="json")
    with idempotency.claimed():
        if replayed := idempotency.replay(meaning):
            return replayed
        row = projects.create_project(
            platform.db,
            body.project,
            title=body.title,
            description=body.description,
            kind=body.kind,
            on_commit=idempotency.keep(_new_project, meaning),
        )
    return _new_project(row)


@router.get(
    "", summary="List projects", response_model=PageOf[Project], responses=problem_responses(errors.CursorInvalid)
)
async def list_projects(
    platform: CurrentPlatform, reads: CurrentReads, implicit: bool = False, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Newest first, with counts, last activity and what `production` is. An upload that names no project has one of its
    own, which is listed with `implicit=true` only."""

    def read() -> PageOf[Project]:
        page = projects.list_projects(platform.db, cursor=cursor, limit=limit, implicit=implicit)
        mlflow = platform.settings.mlflow_link
        items = [project_of(each, mlflow_link=mlflow) for each in project_overviews(platform.db, page.items)]
        return PageOf(items=items, next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get("/{project}", summary="Read a project", response_model=Project, responses=problem_responses(*_MISSING))
async def get_project(platform: CurrentPlatform, reads: CurrentReads, project: OfProject) -> Response:
    """By its name or its id. An earlier name redirects to the present one."""
    return await reads.answer(lambda: _read(platform, projects.get_project(platform.db, project)))


@router.patch(
    "/{project}",
    summary="Change or rename a project",
    responses=problem_responses(*_MISSING, errors.ProjectExists, errors.SlugInvalid),
)
def update_project(platform: CurrentPlatform, project: OfProject, body: ProjectChanges) -> Project:
    """A new name in `project` renames it: the old name redirects from then on. The project of a single upload takes
    more datasets once it is renamed."""
    settings = body.settings.changes() if body.settings else None
    row = projects.update_project(
        platform.db, project, slug=body.project, title=body.title, description=body.description, settings=settings
    )
    return _read(platform, row)


@router.delete("/{project}", summary="Delete a project", responses=problem_responses(*_MISSING, errors.ProjectInUse))
def remove_project(platform: CurrentPlatform, project: OfProject, cancel: bool = False) -> DeletedProject:
    """Deletes its datasets, runs and models. Aliases must be removed first; `cancel=true` ends active work. Its name
    answers 410 afterwards and is not given again."""
    return deleted_project(delete_project(platform, project, cancel=cancel))


@router.get(
    "/{project}/datasets", summary="List the datasets of a project", response_model=PageOf[JobItem], responses=_LISTED
)
async def list_datasets(
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: OfProject,
    state: JobState | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Its jobs, newest first. Deleted ones are listed only with `state=deleted`."""
    return await page_of_jobs(platform, reads, state=state, project=project, cursor=cursor, limit=limit)


@router.get("/{project}/runs", summary="List the runs of a project", response_model=PageOf[Run], responses=_LISTED)
async def list_runs_of_project(
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: OfProject,
    state: RunState | None = None,
    job_id: str | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first."""
    return await page_of_runs(platform, reads, state=state, job_id=job_id, project=project, cursor=cursor, limit=limit)


@router.get(
    "/{project}/models",
    summary="List the model versions of a project",
    response_model=PageOf[ModelVersion],
    responses=_LISTED,
)
async def list_models_of_project(
    platform: CurrentPlatform, reads: CurrentReads, project: OfProject, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Newest first: those made by runs, and imported ones."""
    return await page_of_models(platform, reads, cursor=cursor, limit=limit, ref=project)


def _read(platform: Platform, row: ProjectRow) -> Project:
    return project_of(project_overviews(platform.db, [row])[0], mlflow_link=platform.settings.mlflow_link)


def _new_project(row: ProjectRow) -> Project:
    return project_of(new_overview(row), mlflow_link="")  # MLflow has nothing of it yet
