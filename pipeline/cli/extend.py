"""`python -m pipeline extend --config spec.json`: the next revision of a dataset, its ZIP and its prepared set."""

import argparse
import tempfile
from pathlib import Path

from core.domain.errors import PreparationFailed
from pipeline.archive.source import Rejected
from pipeline.cli.worker_command import add_arguments, run_spec
from pipeline.process.child import Channel
from pipeline.process.results import write_result
from pipeline.process.specs import ExtendSpec

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Returns 0: the ZIP is written, and prepared or rejected (see the result of that), or what is added is rejected
    (see result.json); 1: failed; 76: cancelled."""
    spec = ExtendSpec.model_validate_json(args.config.read_bytes())
    return run_spec(
        spec,
        lambda channel: _extend(spec, channel),
        supervised=args.supervised,
        crash=PreparationFailed,
    )


def _extend(spec: ExtendSpec, channel: Channel) -> None:
    # Imported here: they load numpy and Pillow, which `--help` does not need.
    from pipeline.prepare.dataset_plots import drawing_plots

    prepared = spec.prepare
    with (
        drawing_plots(prepared.out, processes=prepared.processes) as begin_plots,  # it imports beside this process
        tempfile.TemporaryDirectory(prefix="extracted-", dir=spec.out) as scratch,
    ):
        from pipeline.extension.run import extend
        from pipeline.prepare.result import rejection

        try:
            write_result(spec.out, extend(spec, Path(scratch), channel, begin_plots))
        except Rejected as rejected:
            write_result(spec.out, rejection(rejected, spec.out))
