"""What the dialog for uploads needs: the projects that an upload may join, the options with their defaults."""

from dataclasses import dataclass

from core.db import Database
from core.services.projects import commands as projects
from pipeline.params.formats import CATALOGUE
from pipeline.params.prepare import PrepareOptions

_OFFERED = 50  # projects


@dataclass(frozen=True, slots=True)
class UploadForm:
    """`projects`: names that are offered. `extends`: the name of the dataset that uploads of this page extend."""

    projects: list[str]
    options: PrepareOptions
    project: str = ""
    extends: str = ""
    extends_job: str = ""

    @property
    def formats(self) -> dict[str, str]:
        """Titles of the formats by their names, for what a look at the ZIP finds."""
        return {name: page.title for name, page in CATALOGUE.items()}


def upload_form(db: Database, *, project: str = "") -> UploadForm:
    """`project`: the one that uploads of this page join unless another one is named."""
    offered = (
        [project] if project else [row.slug for row in projects.list_projects(db, cursor=None, limit=_OFFERED).items]
    )
    return UploadForm(offered, PrepareOptions(), project)


def extension_form(*, project: str, dataset: str, job_id: str) -> UploadForm:
    """Uploads extend the dataset `dataset`."""
    return UploadForm([project], PrepareOptions(), project, dataset, job_id)
