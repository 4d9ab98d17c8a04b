"""One training: load the trainer, train, and write `model.json` last, so that its existence means complete."""

import json
import platform
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from core.domain.errors import DarkroomError
from core.domain.version import VERSION
from pipeline.params.catalogue import entry_of
from pipeline.process.checkpoint_manifest import digest_of
from pipeline.process.child import Channel
from pipeline.process.results import write_last
from pipeline.process.specs import ModelSpec, TrainSpec
from pipeline.trainers import ModelSource, TrainedModel, Trainer
from pipeline.training.checkpoint import read_checkpoint
from pipeline.training.failures import as_failure
from pipeline.training.reporter import ChannelReporter

ARTIFACTS = "artifacts"
MODEL_FILE = "model.json"  # written last: its existence means complete
MANIFEST = "manifest.json"  # of a prepared tree: its sha256 is the fingerprint


def train(spec: TrainSpec, params: BaseModel, channel: Channel, *, echo: bool) -> None:
    report = ChannelReporter(
        channel,
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
    content = _model_json(spec, params, trained, artifacts)
    write_last(artifacts / MODEL_FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
    report.raise_if_cancelled()


def _trained(spec: TrainSpec, params: BaseModel, report: ChannelReporter) -> TrainedModel:
    resume = None if spec.resume is None else read_checkpoint(spec.resume)
    source = _source(spec.model) if spec.model else _from_params(params)
    trainer = _load_trainer(spec.trainer)
    return trainer.train(spec.dataset, params, spec.out, report, model=source, resume=resume)


def _seconds_left(spec: TrainSpec, params: BaseModel) -> float | None:
    minutes = getattr(params, "max_minutes", None)
    if spec.seconds_left is not None or minutes is None:
        return spec.seconds_left
    return float(minutes) * 60


def _source(model: ModelSpec) -> ModelSource:
    return ModelSource(model.kind, model.path_or_name, parent=model.parent.name if model.parent else None)


def _from_params(params: BaseModel) -> ModelSource:
    """The architecture that the params name: a command line starts without a search for weights."""
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
        "parent": spec.model.parent.model_dump() if spec.model and spec.model.parent else None,
        "run_id": spec.run_id,
        "attempt": spec.attempt,
        "ended": trained.ended,
        "epochs_done": trained.epochs_done,
        "best_epoch": trained.best_epoch,
        "weights": {"name": trained.weights, **digest_of(artifacts / trained.weights).model_dump()},
        "versions": {"darkroom": VERSION, "python": platform.python_version(), **trained.versions},
        **trained.facts,
    }
