"""One training: load the trainer, train, and write `model.json` last, so that its existence means complete."""

import json
import platform
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.params.catalogue import entry_of
from pipeline.process.child import Channel
from pipeline.trainers import ModelSource, TrainedModel, Trainer
from pipeline.training.checkpoint import describe, read_checkpoint
from pipeline.training.failures import as_failure
from pipeline.training.reporter import ChannelReporter

ARTIFACTS = "artifacts"
MODEL_FILE = "model.json"  # the last file
MANIFEST = "manifest.json"  # of a prepared tree; its sha256 is the fingerprint


class ModelSpec(BaseModel):
    """What to start from; see `pipeline.trainers.ModelSource`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["config", "weights"]
    path_or_name: str


class TrainSpec(BaseModel):
    """spec.json, as a worker writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainer: str = "yolo"
    params: dict[str, Any] = Field(default_factory=dict)
    dataset: Path  # a private tree: the trainer may write caches into it
    out: Path
    model: ModelSpec | None = None  # None: the architecture that params.model names, from scratch
    resume: Path | None = None  # a checkpoint's folder
    seconds_left: float | None = None  # what is left of max_minutes over all attempts; None: all of it
    checkpoint_seconds: float = Field(60.0, ge=0)
    run_id: str | None = None
    attempt: int = Field(1, ge=1)
    fingerprint: str | None = None


def train(spec: TrainSpec, params: BaseModel, line: Channel, *, echo: bool) -> None:
    report = ChannelReporter(
        line,
        out=spec.out,
        seconds_left=_seconds_left(spec, params),
        checkpoint_seconds=spec.checkpoint_seconds,
        echo=echo,
    )
    report.stage("loading")
    artifacts = spec.out / ARTIFACTS
    artifacts.mkdir(parents=True, exist_ok=True)
    try:
        trained = _trained(spec, params, report)
    except DarkroomError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise as_failure(error) from error
    report.stage("packing")
    _write_last(artifacts / MODEL_FILE, _model_json(spec, params, trained, artifacts))
    report.raise_if_cancelled()


def _trained(spec: TrainSpec, params: BaseModel, report: ChannelReporter) -> TrainedModel:
    resume = None if spec.resume is None else read_checkpoint(spec.resume)
    source = ModelSource(**spec.model.model_dump()) if spec.model else _from_params(params)
    trainer = _load_trainer(spec.trainer)
    return trainer.train(spec.dataset, params, spec.out, report, model=source, resume=resume)


def _seconds_left(spec: TrainSpec, params: BaseModel) -> float | None:
    minutes = getattr(params, "max_minutes", None)
    if spec.seconds_left is not None or minutes is None:
        return spec.seconds_left
    return float(minutes) * 60


def _from_params(params: BaseModel) -> ModelSource:
    """On a command line nobody has looked for weights: the architecture by its name."""
    return ModelSource("config", str(getattr(params, "model", "")))


def _load_trainer(name: str) -> Trainer:
    began = time.monotonic()
    trainer = cast(Trainer, import_module(entry_of(name).trainer))
    sys.stderr.write(f"trainer.imported trainer={name} seconds={time.monotonic() - began:.2f}\n")
    return trainer


def _model_json(spec: TrainSpec, params: BaseModel, trained: TrainedModel, artifacts: Path) -> dict[str, Any]:
    return {
        "schema": 1,
        "trainer": spec.trainer,
        "kind": entry_of(spec.trainer).kind,
        "params": params.model_dump(mode="json"),
        "classes": list(trained.classes),
        "input_size": trained.input_size,
        "fingerprint": spec.fingerprint,
        "run_id": spec.run_id,
        "attempt": spec.attempt,
        "ended": trained.ended,
        "epochs_done": trained.epochs_done,
        "best_epoch": trained.best_epoch,
        "weights": {"name": trained.weights, **describe(artifacts / trained.weights)},
        "versions": {"python": platform.python_version(), **trained.versions},
        **trained.facts,
    }


def _write_last(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
