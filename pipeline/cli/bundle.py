"""`python -m pipeline bundle --config spec.json`: the bundle of a version, for a worker."""

import argparse
import os
import sys
from pathlib import Path

from core.domain.errors import OperationFailed
from pipeline.process.child import Channel, run_child
from pipeline.process.specs import BundleSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="spec.json")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")


def main(args: argparse.Namespace) -> int:
    """Returns 0: out/bundle.zip is written; 1: failed, problem.json holds the reason; 76: cancelled."""
    spec = BundleSpec.model_validate_json(args.config.read_bytes())
    status = run_child(
        spec.out,
        lambda channel: _bundle(spec, channel),
        supervised=args.supervised,
        crash=OperationFailed,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the threads of the engine are not waited for
    return status


def _bundle(spec: BundleSpec, channel: Channel) -> None:
    from pipeline.bundle.run import bundle

    bundle(spec, channel)
