"""JSON of batches of predictions: an export on many images."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.schemas import SHA256, Links, Timestamp, stored_problem
from api.schemas.evaluations import EXPORT_ID, Split
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from api.schemas.models import Artifact
from api.schemas.operations import OPERATION_ID, operation_links
from core.db.tables import BatchPredictionArtifactRow
from core.db.transitions import public_fields
from core.domain.states import RunState
from core.services.models.batch_predictions import Batch, BatchOptions, name_of
from http_common.prediction_schemas import MODEL, PredictionOptions

MAX_URLS = 5_000  # each may take ten seconds
ResultFormat = Literal["jsonl", "csv", "coco", "coco-results", "zip"]
FILES: dict[ResultFormat, str] = {
    "jsonl": "predictions.jsonl",
    "csv": "predictions.csv",
    "coco": "coco.json",
    "coco-results": "coco_results.json",
    "zip": "labelled.zip",
}
_FORMATS = {name: format for format, name in FILES.items()}


class BatchFields(PredictionOptions):
    """What may be chosen for any images: beside a ZIP in the query or the form, otherwise in the JSON."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        min_length=1,
        max_length=200,
        description="`raccoons`, `raccoons/v3`, `raccoons@production`, a job_id: found now, and recorded by its id.",
        examples=[MODEL],
    )
    labelled: bool = Field(
        True, description="Also write the images with their predictions as labels, as a ZIP to correct and upload."
    )

    def options(self) -> BatchOptions:
        return BatchOptions(self.confidence, self.iou, self.top, self.tile, self.overlap, self.labelled)


class NewBatch(BatchFields):
    """Send one of `job_id`, `upload` and `urls`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": MODEL, "job_id": "raccoons/d2", "split": "test"}]}
    )

    job_id: str | None = Field(
        None, min_length=1, max_length=100, description="The dataset: a `job_id`, or `raccoons/d2`.", examples=[JOB_ID]
    )
    split: Split | None = Field(None, description="One split of the dataset; by default all.")
    upload: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="A resumable upload, or the job that it became, whether or not it was rejected: the images in "
        "its ZIP, without labels.",
    )
    urls: list[Annotated[str, StringConstraints(min_length=1, max_length=2000)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_URLS,
        description="Images by URL, from hosts that the operator allows (`DARKROOM_IMAGE_HOSTS`).",
    )

    @model_validator(mode="after")
    def name_one_source(self) -> "NewBatch":
        if sum(each is not None for each in (self.job_id, self.upload, self.urls)) != 1:
            raise ValueError("send one of job_id, upload and urls, or a ZIP as the body")
        if self.split is not None and self.job_id is None:
            raise ValueError("split is of a dataset: send job_id")
        return self


class BatchPrediction(BaseModel):
    """An export on many images."""

    operation_id: str = Field(description="The operation, and the id of the batch.", examples=[OPERATION_ID])
    project: Project
    model: str = Field(description="The version that predicts.", examples=["raccoons/v3"])
    requested: str = Field(description="The name in the request.", examples=[MODEL])
    export_id: str = Field(description="The export that predicts.", examples=[EXPORT_ID])
    sha256: str = Field(description="Of the export's file.", examples=[SHA256])
    source: dict[str, Any] = Field(
        description="What is predicted: `kind` is `dataset` (with `dataset`, `job_id`, `fingerprint`, `split`), "
        "`upload` (`name`, `bytes`, `sha256`) or `urls` (`count`).",
        examples=[{"kind": "dataset", "dataset": "raccoons/d2", "job_id": JOB_ID, "split": "test"}],
    )
    options: dict[str, Any] = Field(examples=[{"confidence": None, "iou": None, "top": 5, "labelled": True}])
    state: RunState
    stage: str | None = Field(examples=["predicting"])
    progress: dict[str, Any] | None = Field(examples=[{"done": 1200, "total": 5000}])
    problem: dict[str, Any] | None = stored_problem()
    summary: dict[str, Any] | None = Field(
        description="Once it has succeeded: `images`, `failed`, `boxes` or `unsure`, `classes` with their numbers, the "
        "mean `milliseconds` of each stage, and the first `failures` with their reasons.",
        examples=[{"images": 48, "failed": 1, "boxes": 93, "classes": {"raccoon": 93}}],
    )
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    links: Links


class BatchDetail(BatchPrediction):
    """A batch and its files."""

    artifacts: list[Artifact]


def batch_of(batch: Batch) -> BatchPrediction:
    return BatchPrediction(**_fields(batch))


def batch_detail(batch: Batch, artifacts: Sequence[BatchPredictionArtifactRow]) -> BatchDetail:
    files = [
        Artifact(
            name=each.name,
            bytes=each.bytes,
            sha256=each.sha256,
            media_type=each.media_type,
            links={"self": link(f"{_path(batch)}/results", format=_FORMATS[each.name])},
        )
        for each in artifacts
        if each.name in _FORMATS
    ]
    return BatchDetail(**_fields(batch), artifacts=files)


def _path(batch: Batch) -> str:
    return f"/predict/batch/{batch.row.operation_id}"


def _fields(batch: Batch) -> dict[str, Any]:
    row, operation = batch.row, batch.operation
    of_operation = operation_links(operation)
    of_operation.pop("batch", None)
    links = {
        "self": link(_path(batch)),
        "operation": of_operation.pop("self"),
        **of_operation,
        "version": link(f"/models/{batch.version_job_id or row.project_id}/v{batch.number}"),
    }
    if operation.state == RunState.SUCCEEDED:
        links["results"] = link(f"{_path(batch)}/results")
    params = operation.params
    if job_id := params["source"].get("job_id"):
        links["corrections"] = link(f"/datasets/{job_id}/corrections")
    return {
        "operation_id": row.operation_id,
        "project": batch.project,
        "model": name_of(batch),
        "requested": params["model"],
        "export_id": row.export_id,
        "sha256": params["sha256"],
        "source": {name: value for name, value in params["source"].items() if value is not None},
        "options": params["options"],
        "summary": row.summary,
        "created_at": timestamp(row.created_at),
        "links": links,
        **public_fields(operation),
    }
