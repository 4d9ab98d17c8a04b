"""`python -m pipeline predict-batch --config spec.json`: an export on many images, for a worker."""

import argparse
from functools import partial

from pipeline.cli.worker_command import add_arguments, run_spec
from pipeline.process.child import Channel
from pipeline.process.progress import StageReporter
from pipeline.process.results import write_result
from pipeline.process.specs import PredictBatchSpec

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Returns 0: predicted; 1: refused or failed, problem.json holds the reason; 76: cancelled."""
    spec = PredictBatchSpec.model_validate_json(args.config.read_bytes())
    return run_spec(spec, partial(_predict, spec, verbose=not args.supervised), supervised=args.supervised)


def _predict(spec: PredictBatchSpec, channel: Channel, *, verbose: bool) -> None:
    from pipeline.batch.run import predict_batch

    write_result(spec.out, predict_batch(spec, StageReporter(channel, verbose=verbose)))
