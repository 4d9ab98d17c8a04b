"""`python -m pipeline evaluate --model best.pt --dataset tree --out report`: evaluate a trained model on one split."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.cli.config_files import ConfigInvalid, add_config, complain, read_config
from pipeline.params.catalogue import TrainerEntry
from pipeline.params.common import Device
from pipeline.process.child import Channel, run_child
from pipeline.process.results import PROBLEM_FILE, problem_in
from pipeline.trainers import Trainer
from pipeline.training.failures import as_failure
from pipeline.training.reporter import ChannelReporter


class EvaluateConfig(BaseModel):
    """The fields of the config and the arguments of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(description="best.pt, model.zip, or a folder with one of them and model.json.")
    dataset: Path = Field(description="A prepared tree: the folder `tree` that prepare writes.")
    out: Path = Field(description="A folder for metrics.json, the images, report.html and report.xlsx.")
    split: Literal["test", "val", "train"] = Field("test", description="The split to evaluate on: test, val or train.")
    batch: int = Field(32, ge=1, le=1024, description="Images per batch.")
    device: Device = "auto"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, EvaluateConfig)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when evaluated, 1 when that failed, 2 for a wrong config."""
    from pipeline.cli.output import output_of
    from pipeline.cli.predict import entry_of_model
    from pipeline.cli.train import kind_of_tree

    try:
        config = read_config(args, EvaluateConfig)
        entry = entry_of_model(config.model)
        kind = kind_of_tree(config.dataset)
        if kind != entry.kind:
            raise ConfigInvalid([f"dataset: it is for {kind}, but the model is for {entry.kind}"])
    except (OSError, ValueError, DarkroomError) as error:
        return complain("evaluate", args.config, error)
    (config.out / PROBLEM_FILE).unlink(missing_ok=True)
    if run_child(config.out, lambda channel: _evaluate(config, entry, channel), supervised=False):
        sys.stderr.write(f"not evaluated: {problem_in(config.out) or 'cancelled'}\n")
        return 1
    metrics = json.loads((config.out / "metrics.json").read_text(encoding="utf-8"))
    lines = output_of(entry.kind).table(metrics)
    sys.stdout.write("\n".join(["", *lines, f"All results are in {config.out}", ""]))
    return 0


def _evaluate(config: EvaluateConfig, entry: TrainerEntry, channel: Channel) -> None:
    report = ChannelReporter(channel, out=config.out, seconds_left=None, checkpoint_seconds=0, echo=True)
    trainer = cast(Trainer, import_module(entry.trainer))
    chosen: dict[str, Any] = {"splits": (config.split,), "batch": config.batch, "device": config.device}
    try:
        trainer.evaluate(config.model, config.dataset, config.out, report, **chosen)
    except DarkroomError:
        raise
    except Exception as error:
        raise as_failure(error) from error
