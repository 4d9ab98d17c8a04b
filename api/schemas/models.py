"""JSON of model versions, artifacts and aliases."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from api.schemas import SHA256, Links, PageOf, Timestamp
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from api.schemas.mlflow import MlflowVersion, mlflow_version
from api.schemas.runs import RUN_ID, Leak, Parent, parent_of
from core.db.tables import AliasMoveRow, AliasRow
from core.domain.model_names import version_name
from core.services.models.refs import is_job
from core.services.models.versions import AliasHistory
from core.services.views import VersionOverview


class Artifact(BaseModel):
    """A file of a model version."""

    name: str = Field(examples=["best.pt"])
    bytes: int = Field(examples=[6234567])
    sha256: str = Field(examples=[SHA256])
    media_type: str = Field(examples=["application/octet-stream"])
    links: Links


class ModelVersion(BaseModel):
    """A published model version. It never changes, except for the aliases that point at it."""

    job_id: str | None = Field(description="Null for an imported version.", examples=[JOB_ID])
    project: Project
    name: str = Field(description="Its name.", examples=["raccoons/v1"])
    version: str = Field(examples=["v1"])
    number: int = Field(examples=[1])
    run_id: str | None = Field(description="Null for an imported version.", examples=[RUN_ID])
    origin: Literal["run", "imported"] = Field(description="Trained here, or uploaded.", examples=["run"])
    evaluated: bool = Field(description="Whether it has metrics: an imported version may have none.", examples=[True])
    trainer: str = Field(examples=["yolo"])
    params: dict[str, Any] = Field(examples=[{"epochs": 30, "model": "yolov8n"}])
    metrics: dict[str, Any] = Field(
        description="By split. `thresholds`: the confidence of the best F1 on val, of all and of each class, above "
        "which a box is listed or an answer is sure; `at_threshold` of a split and of a class: the figures above it.",
        examples=[
            {
                "test": {
                    "mAP50": 0.94,
                    "mAP50-95": 0.71,
                    "at_threshold": {"precision": 0.91, "recall": 0.89, "f1": 0.9},
                },
                "thresholds": {
                    "all": 0.41,
                    "source": "val",
                    "classes": {"raccoon": 0.38},
                    "sources": {"raccoon": "val"},
                },
            }
        ],
    )
    fingerprint: str | None = Field(
        description="Fingerprint of the dataset it was trained on; null for an imported version.", examples=[SHA256]
    )
    parent: Parent | None = Field(description="The version that it was fine-tuned from.")
    leak: Leak | None = Field(description="Images of the frozen test set that it has learnt from; null without any.")
    weights: str = Field(description="The artifact that `/download/model` sends.", examples=["best.pt"])
    artifacts: list[Artifact]
    aliases: list[str] = Field(examples=[["production"]])
    mlflow: MlflowVersion | None
    created_at: Timestamp
    links: Links


class AliasItem(BaseModel):
    """An alias and the version that it points at."""

    project: Project
    alias: str = Field(examples=["production"])
    version: str = Field(examples=["v2"])
    name: str = Field(description="The name of the version.", examples=["raccoons/v2"])
    updated_at: Timestamp
    links: Links


class ModelVersions(PageOf[ModelVersion]):
    """The model versions of a job or a project, newest first, and the aliases that point at them."""

    job_id: str | None = Field(description="Null where the project was asked.", examples=[JOB_ID])
    project: Project
    aliases: list[AliasItem]
    links: Links


class SetAlias(BaseModel):
    """The version that the alias shall point at."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=20, examples=["v2"])


class AliasMove(BaseModel):
    """An entry in the history of an alias."""

    position: int = Field(examples=[1])
    action: Literal["set", "rollback", "remove"]
    version: str = Field(examples=["v2"])
    at: Timestamp


class Alias(AliasItem):
    """The version that an alias points at, and its history, oldest first."""

    job_id: str | None = Field(description="Null where the project was asked.", examples=[JOB_ID])
    history: list[AliasMove]
    warning: str | None = Field(
        description="Why predictions are not answered by this version: it has no export that passed. Else null.",
        examples=[None],
    )


def version_json(overview: VersionOverview, *, mlflow_link: str) -> bytes:
    """The JSON of a `ModelVersion`. What never changes is sent as stored: a page has a thousand artifacts."""
    row = overview.version
    version = f"v{row.number}"
    ref = row.job_id or row.project_id
    path = f"/models/{ref}/{version}"
    parent = parent_of(row.parent_id, str(overview.model))
    fields = {
        "job_id": row.job_id,
        "project": row.project,
        "name": version_name(row.project, row.number),
        "version": version,
        "number": row.number,
        "run_id": row.run_id,
        "origin": row.origin,
        "evaluated": overview.metrics != "{}",
        "trainer": row.trainer,
        "fingerprint": row.fingerprint,
        "parent": parent and parent.model_dump(),
        "leak": row.leak,
        "weights": row.weights_name,
        "aliases": overview.aliases,
        "mlflow": mlflow_version(row, overview.copy, overview.project_copy, mlflow_link=mlflow_link),
        "created_at": timestamp(row.created_at),
        "links": {
            "self": link(path),
            "download": link(f"/download/model/{ref}", version=version),
            "exports": link(f"{path}/exports"),
            "bundle": link(f"{path}/bundle"),
            **({"run": link(f"/runs/{row.run_id}"), "job": link(f"/jobs/{row.job_id}")} if row.run_id else {}),
        },
    }
    stored = {"params": overview.params, "metrics": overview.metrics, "artifacts": overview.artifacts}
    return with_stored(fields, {name: _finite(text) for name, text in stored.items()})


def versions_page_json(items: Sequence[bytes], **fields: Any) -> bytes:
    """The JSON of a page of versions, each of which is the JSON of one; `fields` are the other ones."""
    return with_stored(fields, {"items": b"[" + b",".join(items) + b"]"})


def with_stored(fields: Mapping[str, Any], stored: Mapping[str, bytes]) -> bytes:
    """A JSON object of `fields` (not empty), and of others whose values are JSON already."""
    more = b"".join(b',"%s":%s' % (name.encode(), value) for name, value in stored.items())
    return to_json(fields)[:-1] + more + b"}"


def _finite(text: str) -> bytes:
    """Stored JSON; null in place of the numbers that JSON lacks and Python writes."""
    if "NaN" in text or "Infinity" in text:
        return to_json(json.loads(text), inf_nan_mode="null")
    return text.encode()


def alias_item(row: AliasRow) -> AliasItem:
    return AliasItem(
        project=row.project,
        alias=row.alias,
        version=f"v{row.number}",
        name=version_name(row.project, row.number),
        updated_at=timestamp(row.updated_at),
        links={
            "self": link(f"/projects/{row.project}/aliases/{row.alias}"),
            "version": link(f"/models/{row.project}/v{row.number}"),
            "download": link(f"/download/model/{row.project}", alias=row.alias),
        },
    )


def alias_of(alias: AliasHistory, ref: str, *, warning: str | None) -> Alias:
    """`ref`: the job or the project that was asked. `warning`: why its version is not served."""
    row = alias.row
    path = f"/models/{ref}/aliases/{row.alias}"
    owner = row.project if alias.is_elsewhere else ref  # of the version: a job has only its own
    return Alias(
        job_id=ref if is_job(ref) else None,
        **alias_item(row).model_dump(exclude={"links"}),
        history=[_move(move) for move in alias.moves],
        warning=warning,
        links={
            "self": link(path),
            "rollback": link(f"{path}/rollback"),
            "version": link(f"/models/{owner}/v{row.number}"),
            "download": link(f"/download/model/{owner}", alias=row.alias),
        },
    )


def alias_of_project(alias: AliasHistory, project: str, *, warning: str | None) -> Alias:
    """The same, with links by the project."""
    found = alias_of(alias, project, warning=warning)
    path = f"/projects/{project}/aliases/{found.alias}"
    return found.model_copy(update={"links": found.links | {"self": link(path), "rollback": link(f"{path}/rollback")}})


def _move(row: AliasMoveRow) -> AliasMove:
    return AliasMove.model_validate(
        {"position": row.position, "action": row.action, "version": f"v{row.number}", "at": timestamp(row.at)}
    )
