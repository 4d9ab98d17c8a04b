"""`python -m pipeline train --config train.yaml`: train on a prepared tree, local paths only.

`out/artifacts` is what gets published; `model.json` in it is written last, so its existence means complete.
A person writes a TrainConfig; a worker, which adds --supervised, a TrainSpec.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.domain.errors import DarkroomError, ParamsInvalid
from pipeline.checkpoint import describe, read_checkpoint
from pipeline.child import PROBLEM_FILE, Line, problem_in, run_child
from pipeline.configs import ConfigInvalid, add_config, checked, complain, field_lines, read_config
from pipeline.failures import as_failure
from pipeline.params.catalogue import CATALOGUE, default_trainer, entry_of, params_of, validate_params
from pipeline.report import LineReport
from pipeline.trainers import ModelSource, TrainedModel, Trainer

ARTIFACTS = "artifacts"
MODEL_FILE = "model.json"  # the last file
MANIFEST = "manifest.json"  # of a prepared tree; its sha256 is the fingerprint


class ModelSpec(BaseModel):
    """What to start from; see `pipeline.trainers.ModelSource`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["config", "weights"]
    path_or_name: str


class TrainConfig(BaseModel):
    """What a person writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path = Field(description="A prepared tree: the folder `tree` that prepare writes.")
    out: Path = Field(description="A folder; out/artifacts will hold the model and what is known about it.")
    trainer: str | None = Field(
        None, description=f"One of {', '.join(CATALOGUE)}. Empty: the first that trains on such a dataset."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="What the trainer can be told, as over HTTP.")
    weights: Path | None = Field(
        None, description="Start from these: a .pt file, or a folder with model.safetensors. Empty: from scratch."
    )
    resume: Path | None = Field(None, description="Go on from this checkpoint, a folder in out/checkpoints.")


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trainers = (line for name in CATALOGUE for line in (f"params of {name}:", *field_lines(params_of(name))))
    add_config(parser, TrainConfig, more="\n".join(trainers))
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # the config is a TrainSpec


def main(args: argparse.Namespace) -> int:
    try:
        spec = TrainSpec.model_validate_json(args.config.read_bytes()) if args.supervised else _spec_of_person(args)
        params = validate_params(spec.trainer, spec.params)
    except (OSError, ValidationError, ParamsInvalid, ConfigInvalid) as error:
        return complain("train", args.config, error)
    for stale in (spec.out / PROBLEM_FILE, spec.out / ARTIFACTS / MODEL_FILE):  # of an earlier try in the same place
        stale.unlink(missing_ok=True)
    status = run_child(
        spec.out, lambda line: _train(spec, params, line, echo=not args.supervised), supervised=args.supervised
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: taking torch apart takes 0.5 s of the 2 s that a cancel has
    _tell_person(spec, status)
    return status


def _spec_of_person(args: argparse.Namespace) -> TrainSpec:
    """Raises ConfigInvalid for whatever is wrong, and OSError."""
    config = read_config(args, TrainConfig)
    kind = kind_of_tree(config.dataset)
    trainer = config.trainer or default_trainer(kind)
    if trainer is None or trainer not in CATALOGUE:
        raise ConfigInvalid([f"trainer: must be one of {', '.join(CATALOGUE)}"])
    if entry_of(trainer).kind != kind:
        raise ConfigInvalid([f"trainer: {trainer} trains on {entry_of(trainer).kind}, and the dataset is {kind}"])
    checked(params_of(trainer), config.params, place="params")
    for name in ("weights", "resume"):
        path = getattr(config, name)
        if path is not None and not path.exists():
            raise ConfigInvalid([f"{name}: there is no {path}"])
    return TrainSpec(
        trainer=trainer,
        params=config.params,
        dataset=config.dataset,
        out=config.out,
        model=ModelSpec(kind="weights", path_or_name=str(config.weights)) if config.weights else None,
        resume=config.resume,
        fingerprint=describe(config.dataset / MANIFEST)["sha256"],
    )


def kind_of_tree(tree: Path) -> str:
    """The kind of dataset in a prepared tree, by its manifest. Raises ConfigInvalid where there is none."""
    try:
        return str(json.loads((tree / MANIFEST).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid([f"dataset: {tree} is no prepared tree; its {MANIFEST} cannot be read"]) from error


def _tell_person(spec: TrainSpec, status: int) -> None:
    if status:
        sys.stderr.write(f"not trained: {problem_in(spec.out) or 'cancelled'}\n")
        return
    from pipeline.shown import shown_of  # a child of a worker has no use for it

    artifacts = spec.out / ARTIFACTS
    metrics = json.loads((artifacts / "metrics.json").read_text(encoding="utf-8"))
    lines = shown_of(entry_of(spec.trainer).kind).table(metrics)
    sys.stdout.write("\n".join(["", *lines, "", f"All of it is in {artifacts}", ""]))


def _train(spec: TrainSpec, params: BaseModel, line: Line, *, echo: bool) -> None:
    report = LineReport(
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
    report.check()


def _trained(spec: TrainSpec, params: BaseModel, report: LineReport) -> TrainedModel:
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
