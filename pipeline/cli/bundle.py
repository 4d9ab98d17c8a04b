"""`python -m pipeline bundle --config spec.json`: the bundle of a version, for a worker."""

import argparse
from functools import partial

from pipeline.cli.worker_command import add_arguments, run_spec
from pipeline.process.child import Channel
from pipeline.process.specs import BundleSpec

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Returns 0: out/bundle.zip is written; 1: failed, problem.json holds the reason; 76: cancelled."""
    spec = BundleSpec.model_validate_json(args.config.read_bytes())
    return run_spec(spec, partial(_bundle, spec), supervised=args.supervised)


def _bundle(spec: BundleSpec, channel: Channel) -> None:
    from pipeline.bundle.run import bundle

    bundle(spec, channel)
