"""Parameters that several endpoints share: the platform, a page of a list, the time to wait."""

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from core.domain.errors import ProjectNotFound
from core.domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_SECONDS
from core.domain.slugs import MAX_SLUG
from core.services.context import Platform
from core.services.models.refs import is_job


async def platform_of(request: Request) -> Platform:
    """A dependency that only looks something up is `async`: for a plain function the framework takes a thread."""
    return cast(Platform, request.app.state.platform)


CurrentPlatform = Annotated[Platform, Depends(platform_of)]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Number of items on a page.")]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Wait up to this many seconds for the job, run or operation to end before answering.",
    ),
]
AsLink = Annotated[
    bool,
    Query(alias="link", description="Redirect to a signed link where the store supports it; otherwise send the file."),
]
ProjectFilter = Annotated[str | None, Query(alias="project", max_length=64, description="Name of a project.")]
JoinedProject = Annotated[
    str | None,
    Query(
        alias="project",
        max_length=MAX_SLUG,
        description="Name of the project that the dataset joins, which is created if there is none.",
    ),
]
PAGE = DEFAULT_PAGE


async def project_of_path(project: Annotated[str, Path(description="Name or id of a project.")]) -> str:
    """Raises ProjectNotFound for what is the id of a job, which other paths take in the same place."""
    if is_job(project):
        raise ProjectNotFound(f"There is no project {project[:80]}.", project=project[:80])
    return project


OfProject = Annotated[str, Depends(project_of_path)]
