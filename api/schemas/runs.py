"""Runs as their users see them, and what asks for one."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Links, Timestamp, stored_problem
from api.schemas.jobs import JOB_ID, SHA256, timestamp
from api.schemas.links import link
from core.db.tables import RunRow
from core.db.transitions import public_fields
from core.domain.states import RUN_ENDED, RunState
from pipeline.params.clip import DEFAULT_MODEL, DEFAULT_TEMPLATES, MODEL_NAME, Prompts, Templates

RUN_ID = "run_01kaj8x4b1c2d3e4f5g6h7j8k9"


class TrainRequest(BaseModel):
    """Everything may be left out. GET /trainers has every param with its range and default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"trainer": "yolo", "params": {"model": "yolov8n", "epochs": 30}}]},
    )

    trainer: str | None = Field(None, max_length=40, description="Empty: the one for this kind of dataset.")
    params: dict[str, Any] = Field(default_factory=dict)


class BaselineRequest(BaseModel):
    """Everything may be left out. These are params of the trainer `clip`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "templates": ["a photo of a person {}."],
                    "prompts": {"using_laptop": ["a photo of a person typing on a laptop."]},
                }
            ]
        },
    )

    model: str = Field(DEFAULT_MODEL, pattern=MODEL_NAME, max_length=200, description="A CLIP model by its name.")
    templates: Templates = Field(DEFAULT_TEMPLATES, description="Sentences with `{}` for the name of the class.")
    prompts: Prompts = Field(
        default_factory=dict, description="Whole sentences for a class, in place of the templates, by its name."
    )


class AcceptedRun(BaseModel):
    run_id: str = Field(examples=[RUN_ID])
    state: RunState
    links: Links


class Run(BaseModel):
    """A training. From `state` to `finished_at` these are the fields that events patch."""

    run_id: str = Field(examples=[RUN_ID])
    job_id: str = Field(examples=[JOB_ID])
    seq: int = Field(description="Number of the newest event in what you see.", examples=[12])
    trainer: str = Field(examples=["yolo"])
    params: dict[str, Any] = Field(description="All of them, defaults filled in.", examples=[{"epochs": 30}])
    fingerprint: str = Field(description="Of the dataset it trains on.", examples=[SHA256])
    created_at: Timestamp

    state: RunState
    stage: str | None = Field(description="What is being done; for people.", examples=["training"])
    progress: dict[str, Any] | None = Field(
        description="`epoch`, `epochs`, `metrics` so far and `seconds_left`.",
        examples=[{"epoch": 3, "epochs": 30, "metrics": {"mAP50": 0.41}, "seconds_left": 118.2}],
    )
    notes: dict[str, Any] | None = Field(
        description="What its user should know.", examples=[{"weights": "trained from scratch: no weights were found"}]
    )
    problem: dict[str, Any] | None = stored_problem()
    attempt: int = Field(examples=[1])
    version: int | None = Field(description="Number of the model version, once published.", examples=[1])
    stop_requested: bool
    checkpoint_epoch: int | None = Field(description="A lost worker's successor goes on from here.", examples=[3])
    started_at: Timestamp | None
    finished_at: Timestamp | None
    links: Links


def accepted_run(row: RunRow) -> AcceptedRun:
    return AcceptedRun(run_id=row.id, state=RunState(row.state), links=run_links(row))


def run_of(row: RunRow) -> Run:
    return Run(
        run_id=row.id,
        job_id=row.job_id,
        seq=row.event_seq,
        trainer=row.trainer,
        params=row.params,
        fingerprint=row.fingerprint,
        created_at=timestamp(row.created_at),
        links=run_links(row),
        **public_fields(row),
    )


def run_links(row: RunRow) -> dict[str, str]:
    path = f"/runs/{row.id}"
    links = {"self": link(path), "job": link(f"/jobs/{row.job_id}"), "events": link(f"{path}/events")}
    if row.state not in RUN_ENDED:
        links["cancel"] = link(f"{path}/cancel")
    if row.state == RunState.RUNNING:
        links["stop"] = link(f"{path}/stop")
    if row.state == RunState.FAILED:
        links["retry"] = link(f"{path}/retry")
    if row.attempt:
        links["log"] = link(f"{path}/log")
    if row.version:
        version = f"v{row.version}"
        links["version"] = link(f"/models/{row.job_id}/{version}")
        links["model"] = link(f"/download/model/{row.job_id}", version=version)
    return links
