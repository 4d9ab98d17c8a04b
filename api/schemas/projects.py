"""JSON of projects and of the requests that create and change them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Links, Timestamp
from api.schemas.jobs import timestamp
from api.schemas.links import link
from api.schemas.mlflow import MlflowProject, mlflow_project
from api.schemas.storage import RetentionSettings
from core.db.tables import ProjectRow
from core.domain.limits import MAX_DESCRIPTION
from core.domain.main_metrics import main_metrics
from core.domain.model_names import PRODUCTION, version_name
from core.domain.slugs import MAX_SLUG
from core.services.projects.overviews import Production, ProjectOverview

PROJECT_ID = "project_01kaj8x3v0q4f7m2n9r5t6w8y1"
_TITLE_MAX = 200  # the column's width
_NAME = "Up to 63 lower-case ASCII letters, digits and single hyphens; `latest`, `new`, `v1` and `d1` are reserved."

Kind = Literal["detection", "classification"]


class NewProject(BaseModel):
    """A project to create."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"project": "raccoons"}]})

    project: str = Field(max_length=MAX_SLUG, description=f"Its name. {_NAME}")
    title: str = Field("", max_length=_TITLE_MAX, description="For people; by default the name.")
    description: str = Field("", max_length=MAX_DESCRIPTION)
    kind: Kind | None = Field(None, description="By default that of its first dataset.")


class ProjectSettingsChanges(BaseModel):
    """Settings of a project; those that are not named stay."""

    model_config = ConfigDict(extra="forbid")

    retention: RetentionSettings | None = Field(
        None, description="For how long it keeps what can be deleted. Null: as long as the installation."
    )

    def changes(self) -> dict[str, Any]:
        """As JSON; None for what is removed."""
        return self.model_dump(mode="json", include=self.model_fields_set)


class ProjectChanges(BaseModel):
    """What to change of a project; the rest stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Raccoons of the yard"}]})

    project: str | None = Field(None, max_length=MAX_SLUG, description=f"A new name; the old one redirects. {_NAME}")
    title: str | None = Field(None, max_length=_TITLE_MAX)
    description: str | None = Field(None, max_length=MAX_DESCRIPTION)
    settings: ProjectSettingsChanges | None = None


class ProductionVersion(BaseModel):
    """The version that the alias `production` points at, with its main metrics."""

    name: str = Field(examples=["raccoons/v7"])
    version: str = Field(examples=["v7"])
    trainer: str = Field(examples=["yolo"])
    split: Literal["test", "val"] | None = Field(description="The split that they were measured on.")
    metrics: dict[str, float] = Field(examples=[{"mAP50": 0.94, "mAP50-95": 0.71}])
    links: Links


class Project(BaseModel):
    """A line of work: datasets d1, d2, ... of one kind, and the model versions v1, v2, ... that are made from them."""

    project: str = Field(description="Its name.", examples=["raccoons"])
    project_id: str = Field(examples=[PROJECT_ID])
    title: str = Field(examples=["Raccoons of the yard"])
    description: str
    kind: Kind | None = Field(description="Null until its first dataset is ready.", examples=["detection"])
    implicit: bool = Field(description="Of a single upload that named no project; it takes no other dataset.")
    settings: dict[str, Any] = Field(
        description="`retention`: for how long it keeps what can be deleted, where that is not as the installation.",
        examples=[{"retention": {"source_days": 365}}],
    )
    datasets: int = Field(description="Number of datasets, without deleted ones.", examples=[4])
    runs: int = Field(examples=[9])
    versions: int = Field(examples=[7])
    production: ProductionVersion | None
    mlflow: MlflowProject | None
    created_at: Timestamp
    last_activity_at: Timestamp = Field(
        description="When a dataset, a run or a version of it was last added, or an alias or the project was changed."
    )
    links: Links


def project_of(overview: ProjectOverview, *, mlflow_link: str) -> Project:
    row = overview.project
    path = f"/projects/{row.slug}"
    return Project.model_validate(
        {
            "project": row.slug,
            "project_id": row.id,
            "title": row.title,
            "description": row.description,
            "kind": row.kind,
            "implicit": row.implicit,
            "settings": row.settings,
            "datasets": overview.datasets,
            "runs": overview.runs,
            "versions": overview.versions,
            "production": _production(row.slug, overview.production) if overview.production else None,
            "mlflow": mlflow_project(row, mlflow_link=mlflow_link),
            "created_at": timestamp(row.created_at),
            "last_activity_at": timestamp(overview.last_activity_at),
            "links": {
                "self": path,
                "datasets": f"{path}/datasets",
                "runs": f"{path}/runs",
                "models": f"{path}/models",
                "aliases": f"{path}/aliases",
                "lineage": f"{path}/lineage",
                "matrix": f"{path}/evaluations/matrix",
                "storage": f"{path}/storage",
                **({"download": f"/download/model/{row.slug}"} if overview.versions else {}),
            },
        }
    )


def _production(slug: str, production: Production) -> dict[str, Any]:
    version = f"v{production.number}"
    split, metrics = main_metrics(production.metrics)
    return {
        "name": version_name(slug, production.number),
        "version": version,
        "trainer": production.trainer,
        "split": split,
        "metrics": metrics,
        "links": {
            "self": f"/models/{slug}/{version}",
            "download": link(f"/download/model/{slug}", alias=PRODUCTION),
        },
    }


class DeletedProject(BaseModel):
    """A project that was deleted. Its name answers 410 from now on."""

    project: str = Field(examples=["raccoons"])
    project_id: str = Field(examples=[PROJECT_ID])
    deleted_at: Timestamp


def deleted_project(row: ProjectRow) -> DeletedProject:
    return DeletedProject(project=row.slug, project_id=row.id, deleted_at=timestamp(row.deleted_at))
