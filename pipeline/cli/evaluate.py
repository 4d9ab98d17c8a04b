"""`python -m pipeline evaluate --model best.pt --dataset tree --out report`: a model or an export on one split."""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.cli.config_files import ConfigInvalid, add_config, complain, read_config
from pipeline.params.catalogue import TrainerEntry
from pipeline.params.common import Device
from pipeline.process.child import Channel, run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import PROBLEM_FILE, problem_in, write_result
from pipeline.process.specs import EvaluateSpec
from pipeline.trainers import Trainer
from pipeline.training.failures import as_failure
from pipeline.training.reporter import ChannelReporter


class EvaluateConfig(BaseModel):
    """The fields of the config and the arguments of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(
        description="best.pt, model.zip, a folder with one of them and model.json, or an export (.onnx, .xml, .zip)."
    )
    dataset: Path = Field(description="A prepared tree: the folder `tree` that prepare writes.")
    out: Path = Field(
        description="A folder for metrics.json, the images, report.html and report.xlsx; of an export in `artifacts`."
    )
    split: Literal["test", "val", "train"] = Field("test", description="The split to evaluate on: test, val or train.")
    batch: int = Field(32, ge=1, le=1024, description="Images per batch.")
    device: Device = "auto"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, EvaluateConfig)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when evaluated, 1 when that failed, 2 for a wrong config."""
    from pipeline.cli.predict import entry_of_model, is_export
    from pipeline.cli.train import kind_of_tree

    try:
        config = read_config(args, EvaluateConfig)
        kind = kind_of_tree(config.dataset)
        if is_export(config.model):
            if not config.model.is_file():
                raise ConfigInvalid([f"model: there is no {config.model}"])
            return _run(config, kind, partial(_evaluate_export, config), "artifacts/metrics.json")
        entry = entry_of_model(config.model)
        if kind != entry.kind:
            raise ConfigInvalid([f"dataset: it is for {kind}, but the model is for {entry.kind}"])
    except (OSError, ValueError, DarkroomError) as error:
        return complain("evaluate", args.config, error)
    return _run(config, kind, partial(_evaluate, config, entry), "metrics.json")


def _run(config: EvaluateConfig, kind: str, work: Callable[[Channel], None], metrics_file: str) -> int:
    from pipeline.cli.output import output_of

    (config.out / PROBLEM_FILE).unlink(missing_ok=True)
    if run_child(config.out, work, supervised=False):
        sys.stderr.write(f"not evaluated: {problem_in(config.out) or 'cancelled'}\n")
        return 1
    metrics = json.loads((config.out / metrics_file).read_text(encoding="utf-8"))
    lines = output_of(kind).table(metrics)
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


def _evaluate_export(config: EvaluateConfig, channel: Channel) -> None:
    """Without the framework that the model was trained in. Raises what `evaluate_version` raises."""
    from pipeline.model_evaluation.run import evaluate_version

    spec = EvaluateSpec(
        model=config.model,
        trainer=None,
        name=config.model.name,
        dataset=config.dataset,
        dataset_name=str(config.dataset),
        split=config.split,
        trained_on_known=False,
        out=config.out,
    )
    write_result(config.out, evaluate_version(spec, StageReporter(channel, verbose=True)))
