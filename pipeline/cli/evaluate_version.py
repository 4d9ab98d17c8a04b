"""`python -m pipeline evaluate-version --config spec.json`: a version or an export on a dataset, for a worker."""

import argparse
from functools import partial

from pipeline.cli.worker_command import add_arguments, run_spec
from pipeline.process.child import Channel
from pipeline.process.progress import StageReporter
from pipeline.process.results import write_result
from pipeline.process.specs import EvaluateSpec

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Returns 0: evaluated; 1: refused or failed, problem.json holds the reason; 76: cancelled."""
    spec = EvaluateSpec.model_validate_json(args.config.read_bytes())
    return run_spec(spec, partial(_evaluate, spec, verbose=not args.supervised), supervised=args.supervised)


def _evaluate(spec: EvaluateSpec, channel: Channel, *, verbose: bool) -> None:
    from pipeline.model_evaluation.run import evaluate_version

    write_result(spec.out, evaluate_version(spec, StageReporter(channel, verbose=verbose)))
