"""`python -m pipeline evaluate-version --config spec.json`: a version or an export on a dataset, for a worker."""

import argparse
import os
import sys
from pathlib import Path

from core.domain.errors import OperationFailed
from pipeline.process.child import Channel, run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import PROBLEM_FILE, RESULT_FILE, write_result
from pipeline.process.specs import EvaluateSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="spec.json")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")


def main(args: argparse.Namespace) -> int:
    """Returns 0: evaluated; 1: refused or failed, problem.json holds the reason; 76: cancelled."""
    spec = EvaluateSpec.model_validate_json(args.config.read_bytes())
    for stale in (PROBLEM_FILE, RESULT_FILE):  # of an earlier try in the same place
        (spec.out / stale).unlink(missing_ok=True)
    status = run_child(
        spec.out,
        lambda channel: _evaluate(spec, channel, verbose=not args.supervised),
        supervised=args.supervised,
        crash=OperationFailed,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # without cleaning up: torch takes 0.5 s for it, of the 2 s that a cancel has
    return status


def _evaluate(spec: EvaluateSpec, channel: Channel, *, verbose: bool) -> None:
    from pipeline.model_evaluation.run import evaluate_version

    write_result(spec.out, evaluate_version(spec, StageReporter(channel, verbose=verbose)))
