"""Projects, and what a dataset that names one is refused for."""

from core.domain.errors.base import Conflict, DarkroomError, Gone, NotFound, Unprocessable


class ProjectNotFound(NotFound):
    slug = "project-not-found"
    title = "There is no project with this name"


class ProjectRenamed(DarkroomError):
    slug = "project-renamed"
    title = "The project has another name now"


class ProjectExists(Conflict):
    slug = "project-exists"
    title = "The name of the project is taken"


class ProjectIsImplicit(Conflict):
    slug = "project-is-implicit"
    title = "The project belongs to a single upload"


class ProjectKindMismatch(Conflict):
    slug = "project-kind-mismatch"
    title = "The project holds datasets of another kind"


class ProjectInUse(Conflict):
    slug = "project-in-use"
    title = "The project still has active work or aliases"


class SlugInvalid(Unprocessable):
    slug = "slug-invalid"
    title = "This is no name for a project"


JOINING: tuple[type[DarkroomError], ...] = (SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone)
