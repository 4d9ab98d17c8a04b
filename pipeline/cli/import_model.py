"""`python -m pipeline import-model best.pt out/`: a model that was trained elsewhere, as a trainer publishes its own.

It is treated as hostile: see `pipeline.model_import`. A worker gives an ImportModelSpec after `--config`.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from core.domain.errors import TrainerCrashed
from pipeline.cli.worker_command import run_spec
from pipeline.process.checkpoint_manifest import digest_of
from pipeline.process.child import Channel
from pipeline.process.results import problem_in
from pipeline.process.specs import ImportModelSpec
from pipeline.training.reporter import ChannelReporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?", help="a .pt or .onnx file, or a ZIP of one or of a folder")
    parser.add_argument("out", type=Path, nargs="?", help="a folder; the model is written to out/artifacts")
    parser.add_argument("--dataset", type=Path, help="a prepared tree, on whose val and test splits it is evaluated")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0: imported; 1: refused or failed, problem.json holds the reason; 76: cancelled."""
    if args.config:
        spec = ImportModelSpec.model_validate_json(args.config.read_bytes())
    elif args.model and args.out:
        spec = _spec_of_arguments(args)
    else:
        args.parser.error("name the model and the folder to write, or --config")
    work = partial(_import, spec, echo=not args.supervised)
    status = run_spec(spec, work, supervised=args.supervised, crash=TrainerCrashed)
    sys.stdout.write(f"{spec.out / 'artifacts'}\n" if status == 0 else f"not imported: {problem_in(spec.out)}\n")
    return status


def _import(spec: ImportModelSpec, channel: Channel, *, echo: bool) -> None:
    from pipeline.model_import.run import import_model

    report = ChannelReporter(channel, out=spec.out, seconds_left=None, checkpoint_seconds=0, echo=echo)
    import_model(spec, report)


def _spec_of_arguments(args: argparse.Namespace) -> ImportModelSpec:
    dataset: Path | None = args.dataset
    fingerprint = None if dataset is None else digest_of(dataset / "manifest.json").sha256
    return ImportModelSpec(
        source=args.model, source_name=args.model.name, out=args.out, dataset=dataset, fingerprint=fingerprint
    )
