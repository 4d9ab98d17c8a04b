"""JSON of runs and of the requests that start them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import SHA256, Links, Timestamp, stored_problem
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from api.schemas.mlflow import MlflowRun, mlflow_run
from core.db.tables import RunRow
from core.db.transitions import public_fields
from core.domain.states import RUN_ENDED, RunState
from pipeline.params.clip import DEFAULT_MODEL, DEFAULT_TEMPLATES, Prompts, Templates
from pipeline.params.common import MODEL_NAME

RUN_ID = "run_01kaj8x4b1c2d3e4f5g6h7j8k9"


ALLOW_LEAK = (
    "Train although train or val have images of the frozen test set: the run and its version then say so for ever."
)


class LeakedTestImage(BaseModel):
    """An image of train or val, and the frozen test image that it matches."""

    dataset: str = Field(examples=["raccoons/d1"])
    path: str = Field(examples=["raccoon-17.jpg"])
    split: str = Field(examples=["train"])
    test_image: str = Field(examples=["raccoon-4.jpg"])
    bits: int | None = Field(description="Bits of 256 that differ in their hashes; null for the same content.")


class Leak(BaseModel):
    """The images of the frozen test set that a training learns from, as `allow_leak` let it. Figures on that test set
    are better than the model is."""

    generation: int = Field(examples=[1])
    images: int = Field(description="`train` and `val` together.", examples=[10])
    train: int = Field(description="Those that are trained on.", examples=[8])
    val: int = Field(description="Those by which the epoch and the thresholds are chosen.", examples=[2])
    examples: list[LeakedTestImage] = Field(description="At most 20.")


class TrainRequest(BaseModel):
    """All fields are optional. `GET /trainers` lists every param with its range and default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"trainer": "yolo", "params": {"model": "yolov8n", "epochs": 30}}]},
    )

    trainer: str | None = Field(None, max_length=40, description="By default the trainer for the kind of the dataset.")
    params: dict[str, Any] = Field(default_factory=dict)
    allow_leak: bool = Field(False, description=ALLOW_LEAK)


class BaselineRequest(BaseModel):
    """All fields are optional. They are params of the trainer `clip`."""

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

    model: str = Field(
        DEFAULT_MODEL,
        pattern=MODEL_NAME,
        max_length=200,
        description="Name of a CLIP model, or a version of ours by `clip`: `birds/v3`.",
    )
    templates: Templates = Field(DEFAULT_TEMPLATES, description="Prompts with `{}` in place of the name of the class.")
    prompts: Prompts = Field(
        default_factory=dict, description="Prompts by class name, which replace the templates for that class."
    )
    allow_leak: bool = Field(False, description=ALLOW_LEAK)


class Parent(BaseModel):
    """The version that a run is fine-tuned from. `name`, as of when the run was queued, always leads to it."""

    name: str = Field(examples=["raccoons/v3"])
    version_id: str = Field(examples=["version_01kaj8x4b1c2d3e4f5g6h7j8k9"])
    links: Links


class AcceptedRun(BaseModel):
    """A run that was queued, or that a request cancels or stops."""

    run_id: str = Field(examples=[RUN_ID])
    state: RunState
    links: Links


class Run(BaseModel):
    """A training or a baseline. Events patch the fields from `state` to `finished_at`."""

    run_id: str = Field(examples=[RUN_ID])
    job_id: str = Field(examples=[JOB_ID])
    project: Project
    seq: int = Field(description="Number of the newest event that this answer includes.", examples=[12])
    trainer: str = Field(examples=["yolo"])
    params: dict[str, Any] = Field(description="All params, including defaults.", examples=[{"epochs": 30}])
    fingerprint: str = Field(description="Fingerprint of the dataset it trains on.", examples=[SHA256])
    parent: Parent | None = Field(description="The version that it is fine-tuned from.")
    leak: Leak | None = Field(description="Images of the frozen test set that it learns from; null without any.")
    created_at: Timestamp
    mlflow: MlflowRun | None

    state: RunState
    stage: str | None = Field(description="The current step, for display.", examples=["training"])
    progress: dict[str, Any] | None = Field(
        description="`epoch`, `epochs`, the newest `metrics` and `seconds_left`.",
        examples=[{"epoch": 3, "epochs": 30, "metrics": {"mAP50": 0.41}, "seconds_left": 118.2}],
    )
    notes: dict[str, Any] | None = Field(
        description="Remarks of the trainer by topic.",
        examples=[{"weights": "trained from scratch: no weights were found"}],
    )
    problem: dict[str, Any] | None = stored_problem()
    attempt: int = Field(examples=[1])
    version: int | None = Field(description="Number of the model version; null until it is published.", examples=[1])
    stop_requested: bool
    checkpoint_epoch: int | None = Field(
        description="Epoch of the newest checkpoint, from which a retry or another worker continues.", examples=[3]
    )
    started_at: Timestamp | None
    finished_at: Timestamp | None
    links: Links


def accepted_run(row: RunRow) -> AcceptedRun:
    return AcceptedRun(run_id=row.id, state=RunState(row.state), links=run_links(row))


def run_of(row: RunRow, *, mlflow_link: str) -> Run:
    return Run(
        run_id=row.id,
        job_id=row.job_id,
        project=row.project,
        seq=row.event_seq,
        trainer=row.trainer,
        params=row.params,
        fingerprint=row.fingerprint,
        parent=parent_of(row.parent_id, str(row.params.get("model"))),
        leak=None if row.leak is None else Leak.model_validate(row.leak),
        created_at=timestamp(row.created_at),
        mlflow=mlflow_run(row, mlflow_link=mlflow_link),
        links=run_links(row),
        **public_fields(row),
    )


def parent_of(version_id: str | None, name: str) -> Parent | None:
    """`name`: the param `model`, which is the name of the version since the run was queued."""
    if version_id is None:
        return None
    return Parent(name=name, version_id=version_id, links={"self": link(f"/models/{name}")})


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
