"""JSON of evaluations: a version, or an export of it, on a split of a dataset."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas import SHA256, Links, Timestamp
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from api.schemas.models import Artifact
from api.schemas.operations import OPERATION_ID
from core.db.tables import EvaluationArtifactRow
from core.domain.model_names import dataset_name, version_name
from core.services.models.evaluation_overviews import EvaluationOverview
from core.services.models.evaluations import DEFAULT_SPLIT, EvaluationRequest

EVALUATION_ID = "evaluation_01kaj8x6d2e3f4g5h6j7k8m9n0"
EXPORT_ID = "export_01kaj8x5c2d3e4f5g6h7j8k9m0"
REPORT = "report.html"
Split = Literal["train", "val", "test"]


class NewEvaluation(BaseModel):
    """Send either `version` or `export`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": "raccoons/v3", "job_id": "raccoons/d2", "split": "test"}]},
    )

    version: str | None = Field(
        None,
        max_length=160,
        description="A model: `raccoons/v3`, `raccoons@production`, `raccoons` (its `production`, else the latest), or "
        "the id of a job (its latest); `v3` and `@production` are of the project of the dataset.",
        examples=["raccoons/v3"],
    )
    export: str | None = Field(None, max_length=80, description="The id of an export.", examples=[EXPORT_ID])
    job_id: str = Field(
        min_length=1, max_length=100, description="The dataset: a `job_id`, or `raccoons/d2`.", examples=[JOB_ID]
    )
    split: Split = Field(DEFAULT_SPLIT, description="The split of the dataset.")
    force: bool = Field(False, description="Also an export whose certificate did not pass.")

    @model_validator(mode="after")
    def name_one_model(self) -> "NewEvaluation":
        if (self.version is None) == (self.export is None):
            raise ValueError("send either version or export")
        return self

    def as_request(self) -> EvaluationRequest:
        return EvaluationRequest(self.job_id, self.version, self.export, self.split, self.force)


class Evaluation(BaseModel):
    """A version, or an export of it, on a split of a dataset. It never changes."""

    evaluation_id: str = Field(examples=[EVALUATION_ID])
    project: Project
    version: str = Field(description="The version.", examples=["raccoons/v3"])
    export_id: str | None = Field(description="Null where the version itself was evaluated.", examples=[EXPORT_ID])
    export: str | None = Field(description="Format and precision of the export.", examples=["onnx int8"])
    job_id: str = Field(description="The job of the dataset.", examples=[JOB_ID])
    dataset: str = Field(description="Its name.", examples=["raccoons/d2"])
    fingerprint: str = Field(description="Fingerprint of the dataset.", examples=[SHA256])
    split: Split
    metrics: dict[str, Any] = Field(
        description="The figures of the whole split; `intervals` with a confidence of 95 %; `seen`: images that the "
        "model was trained on, or near-duplicates of them, `known: false` where not all are known; `unseen`: the "
        "figures without those; `classes`: which classes were compared, and which are missing or extra; of more than "
        "100 the first, and in `counts` how many there are.",
        examples=[{"mAP50": 0.81, "images": 48, "seen": {"known": True, "images": 2}, "unseen": {"mAP50": 0.8}}],
    )
    operation_id: str = Field(examples=[OPERATION_ID])
    created_at: Timestamp
    links: Links


class EvaluationDetail(Evaluation):
    """An evaluation and its files."""

    artifacts: list[Artifact]


def evaluation_of(overview: EvaluationOverview) -> Evaluation:
    return Evaluation(**_fields(overview))


def evaluation_detail(overview: EvaluationOverview, artifacts: Sequence[EvaluationArtifactRow]) -> EvaluationDetail:
    path = f"/evaluations/{overview.row.id}"
    files = [
        Artifact(
            name=each.name,
            bytes=each.bytes,
            sha256=each.sha256,
            media_type=each.media_type,
            links={"self": link(f"{path}/artifacts/{each.name}")},
        )
        for each in artifacts
    ]
    return EvaluationDetail(**_fields(overview), artifacts=files)


def _fields(overview: EvaluationOverview) -> dict[str, Any]:
    row, path = overview.row, f"/evaluations/{overview.row.id}"
    version = f"/models/{overview.version_job_id or row.project_id}/v{overview.number}"
    links = {
        "self": link(path),
        "report": link(f"{path}/artifacts/{REPORT}"),
        "version": link(version),
        "job": link(f"/jobs/{row.job_id}"),
        "operation": link(f"/operations/{row.operation_id}"),
        "corrections": link(f"/datasets/{row.job_id}/corrections"),
        "matrix": link(f"/projects/{overview.project}/evaluations/matrix", split=row.split),
    }
    if row.export_id:
        links["export"] = link(f"{version}/exports/{row.export_id}")
    return {
        "evaluation_id": row.id,
        "project": overview.project,
        "version": version_name(overview.project, overview.number),
        "export_id": row.export_id,
        "export": overview.export,
        "job_id": row.job_id,
        "dataset": dataset_name(overview.dataset_project, overview.revision),
        "fingerprint": row.fingerprint,
        "split": row.split,
        "metrics": row.metrics,
        "operation_id": row.operation_id,
        "created_at": timestamp(row.created_at),
        "links": links,
    }
