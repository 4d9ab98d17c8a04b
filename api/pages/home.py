"""Home: the projects, and what moves now."""

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.http.page_stream import HOME, position_in
from api.pages.rendering import render
from api.pages.upload_form import upload_form
from api.pages.work_items import WorkItem, work_items
from api.schemas.formats import all_formats
from api.schemas.projects import project_of
from core.services.projects import commands as projects
from core.services.projects.covers import newest_ready_jobs
from core.services.projects.overviews import project_overviews
from core.services.work.active import active_work
from pipeline.params import catalogue

router = APIRouter(prefix="/ui", include_in_schema=False)

PAGE = 24
WORK_LISTED = 20  # of each kind
WORK_FIRST = 6  # of all; the others are folded

Search = Annotated[str, Query(max_length=100)]


@router.get("/")
def home(
    request: Request, platform: CurrentPlatform, q: Search = "", implicit: bool = False, cursor: Cursor = None
) -> HTMLResponse:
    """Newest projects first. `implicit`: those of uploads without a project too. Raises CursorInvalid."""
    db = platform.db
    position = position_in(request, db, [HOME])
    search = q.strip()
    page = projects.list_projects(db, cursor=cursor, limit=PAGE, implicit=implicit, search=search)
    items = [project_of(each, mlflow_link=platform.settings.mlflow_link) for each in project_overviews(db, page.items)]
    work = active_work(db, limit=WORK_LISTED)
    moving = work_items(db, work)
    is_empty = not items and not moving and not cursor and not search
    hidden = is_empty and not implicit and bool(projects.list_projects(db, cursor=None, limit=1, implicit=True).items)
    return render(
        request,
        "home/home.html",
        nav="projects",
        position=position,
        projects=items,
        covers=newest_ready_jobs(db, [row.id for row in page.items]),
        moving=moving,
        moving_first=WORK_FIRST,
        more_moving=work.more,
        moving_in=_by_project(moving),
        next_cursor=page.next_cursor,
        search=search,
        implicit=implicit,
        is_empty=is_empty,
        hidden=hidden,
        formats=all_formats(frozenset(entry.kind for entry in catalogue.CATALOGUE.values())).items,
        upload=upload_form(platform),
    )


def _by_project(items: list[WorkItem]) -> dict[str, list[WorkItem]]:
    found: dict[str, list[WorkItem]] = defaultdict(list)
    for item in items:
        if item.project:
            found[item.project].append(item)
    return dict(found)
