"""`python -m pipeline repair data.zip repaired.zip`: boxes, sizes and names mended, junk and broken items left out."""

import argparse
import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.process.child import Channel
    from pipeline.process.progress import StageReporter
    from pipeline.repair.rewrite_zip import RepairResult

REPAIRED_FILE = "repaired.zip"


@dataclass(frozen=True, slots=True)
class RepairSpec:
    """`out` is the folder of a supervised child, which writes REPAIRED_FILE and result.json there."""

    archive: Path
    target: Path
    out: Path
    processes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("repaired", type=Path, nargs="?", help="the ZIP to write; its root holds the log")
    parser.add_argument("--processes", type=int, default=None, help="processes that decode. Default: one a core.")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """0: repaired, or rejected where result.json says so; 1: rejected (by hand) or our failure; 76: cancelled."""
    from core.domain.errors import PreparationFailed
    from pipeline.process.child import run_child
    from pipeline.process.progress import StageReporter

    if args.config:
        spec = _read_spec(args.config)

        def work(line: "Channel") -> None:
            _repair_for_worker(spec, StageReporter(line))

        return run_child(spec.out, work, supervised=args.supervised, crash=PreparationFailed)
    if not (args.archive and args.repaired):
        args.parser.error("name the ZIP and the one to write, or --config")
    return _repair_by_hand(args.archive, args.repaired, args.processes or os.cpu_count() or 1)


def _read_spec(path: Path) -> RepairSpec:
    spec = json.loads(path.read_text(encoding="utf-8"))
    out = Path(spec["out"])
    return RepairSpec(Path(spec["archive"]), out / REPAIRED_FILE, out, int(spec.get("processes") or 1))


def _repair_for_worker(spec: RepairSpec, steps: "StageReporter") -> None:
    """Writes the ZIP, then result.json; on a rejection findings.jsonl instead of the ZIP."""
    from pipeline.archive.source import Rejected
    from pipeline.prepare.run import RESULT_FILE, rejection, write_json

    try:
        with tempfile.TemporaryDirectory(prefix="extracted-", dir=spec.out) as scratch:
            outcome = _run(spec.archive, spec.target, Path(scratch), spec.processes, steps)
        result: dict[str, Any] = {"outcome": "repaired", "images": outcome.images, "changes": len(outcome.changes)}
    except Rejected as rejected:
        result = rejection(rejected, spec.out)
    write_json(spec.out / RESULT_FILE, result)


def _repair_by_hand(archive: Path, target: Path, processes: int) -> int:
    from core.domain.errors import DarkroomError
    from pipeline.archive.source import Rejected
    from pipeline.process.progress import StageReporter

    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-", dir=target.parent) as scratch:
            outcome = _run(archive, target, Path(scratch), processes, StageReporter(verbose=True))
    except Rejected as rejected:
        print(f"{rejected.problem.slug}: {rejected.problem.detail}")  # noqa: T201 - the command's output
        return 1
    except (DarkroomError, OSError) as error:
        print(f"It could not be repaired: {error}")  # noqa: T201 - the command's output
        return 1
    print(f"{outcome.images} of {outcome.seen} images ({outcome.format}) are in {target}")  # noqa: T201
    for code, count in sorted(Counter(change.code for change in outcome.changes).items()):
        print(f"  {count:6} {code}")  # noqa: T201 - the command's output
    return 0


def _run(archive: Path, target: Path, scratch: Path, processes: int, steps: "StageReporter") -> "RepairResult":
    from pipeline.repair.rewrite_zip import repair

    return repair(archive, target, scratch, processes=processes, steps=steps)
