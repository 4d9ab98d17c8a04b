"""`python -m pipeline repair data.zip repaired.zip`: boxes, sizes and names fixed, junk and broken items left out.

A worker gives a RepairSpec after `--config`.
"""

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import get_args

from core.domain.errors import DarkroomError, PreparationFailed
from core.domain.finding_codes import Severity
from pipeline.archive.entry_names import printable
from pipeline.archive.source import Rejected
from pipeline.params.prepare import PrepareOptions
from pipeline.process.child import run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import REPAIRED_FILE, RepairedArchive, write_result
from pipeline.process.specs import RepairSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("repaired", type=Path, nargs="?", help="the ZIP to write; its root holds the log")
    for name in ("background", "split"):
        option = PrepareOptions.model_fields[name]
        parser.add_argument(
            f"--{name}", choices=get_args(option.annotation), default=option.default, help=option.description
        )
    parser.add_argument("--processes", type=int, default=None, help="processes that decode. Default: one a core.")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0: repaired, or for a worker rejected (see result.json); 1: rejected or failed; 76: cancelled."""
    if args.config:
        spec = RepairSpec.model_validate_json(args.config.read_bytes())
        return run_child(
            spec.out,
            lambda channel: _repair_for_worker(spec, StageReporter(channel)),
            supervised=args.supervised,
            crash=PreparationFailed,
            memory_bytes=spec.memory_bytes,
        )
    if not (args.archive and args.repaired):
        args.parser.error("name the ZIP and the one to write, or --config")
    return _repair_by_hand(args)


def _repair_for_worker(spec: RepairSpec, steps: StageReporter) -> None:
    """Writes the ZIP, then result.json; on a rejection findings.jsonl instead of the ZIP."""
    # Imported here: they load Pillow, which `--help` does not need.
    from pipeline.hub.uploaded_tables import plain_archive
    from pipeline.prepare.result import rejection
    from pipeline.repair.rewrite_zip import repair

    target = spec.out / REPAIRED_FILE
    try:
        with tempfile.TemporaryDirectory(prefix="extracted-", dir=spec.out) as scratch:
            archive = plain_archive(spec.archive, Path(scratch), steps)
            done = repair(
                archive,
                target,
                Path(scratch),
                background=spec.background,
                split=spec.split,
                processes=spec.processes,
                steps=steps,
            )
    except Rejected as rejected:
        write_result(spec.out, rejection(rejected, spec.out))
    else:
        write_result(spec.out, RepairedArchive(images=done.images, changes=len(done.changes)))


def _repair_by_hand(args: argparse.Namespace) -> int:
    from pipeline.hub.uploaded_tables import plain_archive
    from pipeline.repair.rewrite_zip import repair

    steps = StageReporter(verbose=True)
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-", dir=args.repaired.absolute().parent) as scratch:
            done = repair(
                plain_archive(args.archive, Path(scratch), steps),
                args.repaired,
                Path(scratch),
                background=args.background,
                split=args.split,
                processes=args.processes or os.cpu_count() or 1,
                steps=steps,
            )
    except Rejected as rejected:
        print(f"{rejected.problem.slug}: {rejected.problem.detail}")
        return 1
    except (DarkroomError, OSError) as error:
        print(f"The archive could not be repaired: {error}")
        return 1
    print(f"{done.images} of {done.seen} images ({done.format}) are in {args.repaired}")
    for code, count in sorted(Counter(change.code for change in done.changes).items()):
        print(f"  {count:6} {code}")
    for warning in (each for each in done.unchanged if each.severity is Severity.WARNING):
        print(printable(f"{warning.path}  {warning.code}  {warning.detail} {warning.remedy}"))
    return 0
