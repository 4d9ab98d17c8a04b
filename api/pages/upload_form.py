"""What the dialog for new datasets needs: the projects that one may join, the options with their defaults, and from
where the service imports."""

from dataclasses import dataclass

from core.db import Database
from core.services.context import Platform
from core.services.projects import commands as projects
from core.services.projects.lookup import free_slug
from core.settings import Settings
from http_common.import_rules import BUCKETS, FOLDERS, HOSTS
from pipeline.params.formats import CATALOGUE
from pipeline.params.prepare import PrepareOptions

HUB = "DARKROOM_HUB"
SAMPLE_PROJECT = "sample-shapes"
_OFFERED = 50  # projects
_PLACES_LISTED = 3


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """A kind of place. `allowed`: the first of those that the operator names; none: it is off until `setting` allows
    one. `more`: how many others there are."""

    title: str
    example: str
    allowed: tuple[str, ...]
    more: int
    setting: str


@dataclass(frozen=True, slots=True)
class UploadForm:
    """`projects`: names that are offered. `extends`: the name of the dataset that uploads of this page extend.
    `places`: None where nothing but a ZIP may come. `sample`: the project of sample images; empty: none are offered."""

    projects: list[str]
    options: PrepareOptions
    project: str = ""
    extends: str = ""
    extends_job: str = ""
    places: list[ImportPlace] | None = None
    hub: str = ""
    sample: str = ""

    @property
    def formats(self) -> dict[str, str]:
        """Titles of the formats by their names, for what a look at the ZIP finds."""
        return {name: page.title for name, page in CATALOGUE.items()}


def upload_form(platform: Platform, *, project: str = "") -> UploadForm:
    """`project`: the one that datasets of this page join unless another one is named."""
    db, settings = platform.db, platform.settings
    return UploadForm(
        [project] if project else _projects(db),
        PrepareOptions(),
        project,
        places=_places(settings),
        hub=settings.hub_endpoint.rstrip("/"),
        sample="" if project else free_slug(db, SAMPLE_PROJECT),
    )


def extension_form(*, project: str, dataset: str, job_id: str) -> UploadForm:
    """Uploads extend the dataset `dataset`."""
    return UploadForm([project], PrepareOptions(), project, dataset, job_id)


def _projects(db: Database) -> list[str]:
    return [row.slug for row in projects.list_projects(db, cursor=None, limit=_OFFERED).items]


def _places(settings: Settings) -> list[ImportPlace]:
    hub = [settings.hub_endpoint] if settings.hub else []
    return [
        _place("A hub's dataset, of images with classes", "owner/name", hub, HUB),
        _place("A ZIP at a URL", "https://host/data.zip", sorted(settings.allowed_import_hosts), HOSTS),
        _place("A bucket", "s3://bucket/prefix", list(map(str, settings.allowed_import_buckets)), BUCKETS),
        _place("A folder of the worker's machine", "/folder", list(map(str, settings.allowed_import_folders)), FOLDERS),
    ]


def _place(title: str, example: str, allowed: list[str], setting: str) -> ImportPlace:
    return ImportPlace(title, example, tuple(allowed[:_PLACES_LISTED]), max(0, len(allowed) - _PLACES_LISTED), setting)
