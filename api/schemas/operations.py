"""JSON of operations."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from api.schemas import Links, Timestamp, stored_problem
from api.schemas.jobs import JOB_ID, timestamp
from api.schemas.links import link
from core.db.tables import OperationRow
from core.db.transitions import public_fields
from core.domain.states import RUN_ENDED, RunState
from core.services.operations.commands import Requested
from core.services.operations.kinds import BUNDLE, EXPORT_DATASET, PREDICT_BATCH

OPERATION_ID = "operation_01kaj8x4b1c2d3e4f5g6h7j8k9"


class AcceptedOperation(BaseModel):
    """An operation that was queued, or that a request cancels."""

    operation_id: str = Field(examples=[OPERATION_ID])
    state: RunState
    links: Links


class Operation(BaseModel):
    """Work in the background. Events patch the fields from `state` to `finished_at`."""

    operation_id: str = Field(examples=[OPERATION_ID])
    kind: str = Field(description="What is done.", examples=["image-index"])
    project: str | None = Field(description="Name of the project that it belongs to.", examples=["raccoons"])
    job_id: str | None = Field(description="The job that it belongs to.", examples=[JOB_ID])
    seq: int = Field(description="Number of the newest event that this answer includes.", examples=[4])
    params: dict[str, Any] = Field(description="Its input, by its kind.", examples=[{}])
    created_at: Timestamp

    state: RunState
    stage: str | None = Field(description="The current step, for display.", examples=["reading"])
    progress: dict[str, Any] | None = Field(
        description="`done` and `total` of the current step.", examples=[{"done": 1200, "total": 5000}]
    )
    problem: dict[str, Any] | None = stored_problem()
    result: dict[str, Any] | None = Field(description="What it made, by its kind.", examples=[{"images": 5000}])
    attempt: int = Field(examples=[1])
    started_at: Timestamp | None
    finished_at: Timestamp | None
    links: Links


def accepted_operation(row: OperationRow) -> AcceptedOperation:
    return AcceptedOperation(operation_id=row.id, state=RunState(row.state), links=operation_links(row))


def operation_of(row: OperationRow, slugs: Mapping[str, str]) -> Operation:
    """`slugs`: the names of projects by their ids."""
    return Operation(
        operation_id=row.id,
        kind=row.kind,
        project=slugs[row.project_id] if row.project_id else None,
        job_id=row.job_id,
        seq=row.event_seq,
        params=row.params,
        created_at=timestamp(row.created_at),
        links=operation_links(row),
        **public_fields(row),
    )


def requested_operation(requested: Requested) -> Operation:
    row = requested.operation
    return operation_of(row, {str(row.project_id): requested.slug})


def status_of_requested(requested: Requested) -> int:
    return 202 if requested.is_new else 200


def operation_links(row: OperationRow) -> dict[str, str]:
    path = f"/operations/{row.id}"
    links = {"self": link(path), "events": link(f"{path}/events")}
    if row.job_id:
        links["job"] = link(f"/jobs/{row.job_id}")
    if row.project_id and row.result and "version" in row.result:
        version = f"/models/{row.project_id}/{row.result['version']}"
        links["version"] = link(version)
        if "export_id" in row.result:
            links["export"] = link(f"{version}/exports/{row.result['export_id']}")
        if row.kind == BUNDLE:
            links["bundle"] = link(f"{version}/bundle")
    if row.result and "evaluation_id" in row.result:
        links["evaluation"] = link(f"/evaluations/{row.result['evaluation_id']}")
    if row.kind == EXPORT_DATASET and row.deleted_at is None:
        chosen = {"format": row.params["format"], "arrange": row.params["arrange"]}
        links["download"] = link(f"/dataset/export/{row.job_id}", **chosen)
    if row.kind == PREDICT_BATCH and row.deleted_at is None:
        links["batch"] = link(f"/predict/batch/{row.id}")
    if row.state not in RUN_ENDED:
        links["cancel"] = link(f"{path}/cancel")
    if row.state == RunState.FAILED and row.purged_at is None:
        links["retry"] = link(f"{path}/retry")
    return links
