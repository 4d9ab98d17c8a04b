"""`python -m pipeline freeze --config spec.json`: the list of a set's test images, on behalf of a worker."""

import argparse
from pathlib import Path

from core.domain.errors import OperationFailed
from pipeline.process.child import run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import write_result
from pipeline.process.specs import FreezeSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="spec.json")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")


def main(args: argparse.Namespace) -> int:
    """Returns 0: the list is written; 1: failed, see problem.json; 76: cancelled."""
    from pipeline.index.freeze import list_test_images  # it loads Pillow, which `--help` does not need

    spec = FreezeSpec.model_validate_json(args.config.read_bytes())
    return run_child(
        spec.out,
        lambda channel: write_result(spec.out, list_test_images(spec, StageReporter(channel))),
        supervised=args.supervised,
        crash=OperationFailed,
        memory_bytes=spec.memory_bytes,
    )
