"""Home: the projects."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.pages.rendering import render
from api.schemas.projects import project_of
from core.services.projects import commands as projects
from core.services.projects.overviews import project_overviews

router = APIRouter(prefix="/ui", include_in_schema=False)

PAGE = 24


@router.get("/")
def home(request: Request, platform: CurrentPlatform, cursor: Cursor = None) -> HTMLResponse:
    """Newest first. Raises CursorInvalid."""
    page = projects.list_projects(platform.db, cursor=cursor, limit=PAGE, implicit=False)
    overviews = project_overviews(platform.db, page.items)
    items = [project_of(each, mlflow_link=platform.settings.mlflow_link) for each in overviews]
    return render(request, "home/home.html", nav="projects", projects=items, next_cursor=page.next_cursor)
