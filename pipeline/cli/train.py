"""`python -m pipeline train --config train.yaml`: train on a prepared tree, local paths only.

`out/artifacts` is what gets published; `model.json` in it is written last, so its existence means complete.
A person writes a TrainConfig; a worker, which adds --supervised, a TrainSpec.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.domain.errors import ParamsInvalid
from core.domain.model_names import parse_version_name
from pipeline.cli.config_files import ConfigInvalid, add_config, checked, complain, field_lines, read_config
from pipeline.params.catalogue import CATALOGUE, default_trainer, entry_of, params_of, validate_params
from pipeline.process.checkpoint_manifest import digest_of
from pipeline.process.child import run_child
from pipeline.process.results import PROBLEM_FILE, problem_in
from pipeline.process.specs import ModelSpec, ParentSpec, TrainSpec
from pipeline.training.run import ARTIFACTS, MANIFEST, MODEL_FILE, train


class TrainConfig(BaseModel):
    """The config that a person writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path = Field(description="A prepared tree: the folder `tree` that prepare writes.")
    out: Path = Field(description="A folder; the model and its report are written to out/artifacts.")
    trainer: str | None = Field(
        None, description=f"One of {', '.join(CATALOGUE)}. Empty: the first that trains on such a dataset."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="The trainer's params, as over HTTP.")
    weights: Path | None = Field(
        None,
        description="Start from these: a .pt file, a folder with model.safetensors, or out/artifacts of a training, of "
        "whose head the rows of classes that both have are kept. Empty: from scratch.",
    )
    resume: Path | None = Field(None, description="Go on from this checkpoint, a folder in out/checkpoints.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trainers = (line for name in CATALOGUE for line in (f"params of {name}:", *field_lines(params_of(name))))
    add_config(parser, TrainConfig, more="\n".join(trainers))
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # the config is a TrainSpec


def main(args: argparse.Namespace) -> int:
    try:
        spec = TrainSpec.model_validate_json(args.config.read_bytes()) if args.supervised else _spec_of_arguments(args)
        params = validate_params(spec.trainer, spec.params)
    except (OSError, ValidationError, ParamsInvalid, ConfigInvalid) as error:
        return complain("train", args.config, error)
    for stale in (spec.out / PROBLEM_FILE, spec.out / ARTIFACTS / MODEL_FILE):  # of an earlier try in the same place
        stale.unlink(missing_ok=True)
    status = run_child(
        spec.out,
        lambda channel: train(spec, params, channel, echo=not args.supervised),
        supervised=args.supervised,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # without cleaning up: torch takes 0.5 s for it, of the 2 s that a cancel has
    _print_result(spec, status)
    return status


def _spec_of_arguments(args: argparse.Namespace) -> TrainSpec:
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
    if parse_version_name(str(config.params.get("model", ""))):
        raise ConfigInvalid(["params.model: only the service knows its versions; give the artifacts of one in weights"])
    return TrainSpec(
        trainer=trainer,
        params=config.params,
        dataset=config.dataset,
        out=config.out,
        model=start_from(config.weights, trainer) if config.weights else None,
        resume=config.resume,
        fingerprint=digest_of(config.dataset / MANIFEST).sha256,
    )


def start_from(weights: Path, trainer: str) -> ModelSpec:
    """Artifacts with their model.json are a parent. Raises ConfigInvalid for those of another trainer."""
    if not (weights / MODEL_FILE).is_file():
        return ModelSpec(kind="weights", path_or_name=str(weights))
    try:
        model = json.loads((weights / MODEL_FILE).read_text(encoding="utf-8"))
        file, made_by = model["weights"], str(model["trainer"])
        name = model["run_id"] or f"{made_by} {file['sha256'][:12]}"
        parent = ParentSpec(name=name, sha256=file["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid([f"weights: {weights / MODEL_FILE} cannot be read"]) from error
    if made_by != trainer:
        raise ConfigInvalid([f"weights: {weights} is a model of {made_by}; it cannot be trained by {trainer}"])
    return ModelSpec(kind="weights", path_or_name=str(weights / file["name"]), parent=parent)


def kind_of_tree(tree: Path) -> str:
    """The kind of dataset in a prepared tree, by its manifest. Raises ConfigInvalid for any other folder."""
    try:
        return str(json.loads((tree / MANIFEST).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid([f"dataset: {tree} is not a prepared tree: its {MANIFEST} cannot be read"]) from error


def _print_result(spec: TrainSpec, status: int) -> None:
    if status:
        sys.stderr.write(f"not trained: {problem_in(spec.out) or 'cancelled'}\n")
        return
    from pipeline.cli.output import output_of  # a worker's child prints nothing

    artifacts = spec.out / ARTIFACTS
    metrics = json.loads((artifacts / "metrics.json").read_text(encoding="utf-8"))
    lines = output_of(entry_of(spec.trainer).kind).table(metrics)
    sys.stdout.write("\n".join(["", *lines, "", f"All of it is in {artifacts}", ""]))
