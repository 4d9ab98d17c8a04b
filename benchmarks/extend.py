"""Revisions beside their whole: `python -m benchmarks.extend [--images 5000 --added 100 --size 1280x960 ...]`.

A made set of photographs is prepared. Then it grows twice, by `python -m pipeline extend` as a worker starts it, which
writes the ZIP of the revision and prepares it; the second extends the first. Beside them the whole of the first is
prepared as one upload. Images are stored in the ZIPs that are uploaded, as they are in that of each revision; with
`--deflated` they are inflated by the preparation of the whole, and by the first revision.
Each run begins as a worker starts it: with its ZIP in memory, and nothing that is still to be written. One JSON line,
with elapsed times and with the processor time of all processes (`_cpu`), on which another load of the machine has less
influence: medians of some rounds. Exits with 1 where a revision takes more than a quarter of the elapsed time of the
whole. Linux only.
"""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.revisions import Parts, parser_of, write_parts
from pipeline.params.prepare import PrepareOptions

GOAL = 0.25
PROCESSES = 2
_READ = 1 << 24  # bytes at once
_SUBREAPER = 36  # of prctl(2): descendants whose parent has ended become children of this process


class _Prepared(NamedTuple):
    """A ZIP, and the folder in which it is prepared."""

    archive: Path
    out: Path


class Cost(NamedTuple):
    """In seconds: elapsed, and of the processor, by the command and all processes that it started."""

    elapsed: float
    cpu: float


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        parts = write_parts(folder, images=args.images, added=args.added, size=args.size, stored=not args.deflated)
        before = _Prepared(parts.first, folder / "before")
        _prepare(before)
        size = parts.whole.stat().st_size
        costs = [_round(folder, before, parts) for _ in range(args.rounds)]
    whole, first, later = (_median(list(each)) for each in zip(*costs, strict=True))
    row = {
        "benchmark": "extend",
        "images": args.images,
        "added": args.added,
        "pixels": args.size,
        "deflated": args.deflated,
        "bytes": size,
        "rounds": args.rounds,
        "whole_seconds": round(whole.elapsed, 2),
        "first_seconds": round(first.elapsed, 2),
        "next_seconds": round(later.elapsed, 2),
        "first_ratio": round(first.elapsed / whole.elapsed, 3),
        "next_ratio": round(later.elapsed / whole.elapsed, 3),
        "whole_cpu": round(whole.cpu, 2),
        "first_cpu": round(first.cpu, 2),
        "next_cpu": round(later.cpu, 2),
        "goal": GOAL,
    }
    print(json.dumps(row))
    return 0 if max(row["first_ratio"], row["next_ratio"]) <= GOAL else 1


def _round(folder: Path, before: _Prepared, parts: Parts) -> tuple[Cost, Cost, Cost]:
    whole = _Prepared(parts.whole, folder / "whole")
    all_at_once = _prepare(whole)
    shutil.rmtree(whole.out)
    first = _Prepared(folder / "first/extended.zip", folder / "first-out")
    once = _extend(before, parts.more, first)
    later = _Prepared(folder / "next/extended.zip", folder / "next-out")
    again = _extend(first, parts.later, later)
    for each in (first, later):
        shutil.rmtree(each.archive.parent)
        shutil.rmtree(each.out)
    return all_at_once, once, again


def _prepare(made: _Prepared) -> Cost:
    """Without its tar, which nothing here reads."""
    source = {"name": made.archive.name, "bytes": made.archive.stat().st_size, "sha256": "0" * 64}
    cost = _run("prepare", made.out, _prepare_spec(made, source=source), reads=made.archive)
    (made.out / "dataset.tar").unlink()
    return cost


def _extend(before: _Prepared, more: Path, made: _Prepared) -> Cost:
    index = str(before.out / "images.sqlite")
    known = {"extended": True, "known": index, "samples": str(before.out / "samples.tar")}
    spec: dict[str, Any] = {
        "parent": str(before.archive),
        "verified": True,  # as by a worker, which hashes each ZIP when it fetches it, also that of the whole
        "index": index,
        "kind": "detection",
        "classes": json.loads((before.out / "result.json").read_text())["classes"],
        "additions": str(more),
        "options": PrepareOptions().model_dump(),
        "processes": PROCESSES,
        "prepare": _prepare_spec(made, source={}, out=str(made.out), **known),
    }
    cost = _run("extend", made.archive.parent, spec, reads=before.archive)
    (made.out / "dataset.tar").unlink()
    return cost


def _prepare_spec(made: _Prepared, **more: Any) -> dict[str, Any]:
    options = PrepareOptions().model_dump()
    return {"archive": str(made.archive), "options": options, "tree": False, "processes": PROCESSES, **more}


def _median(costs: list[Cost]) -> Cost:
    return Cost(median(cost.elapsed for cost in costs), median(cost.cpu for cost in costs))


def _run(command: str, out: Path, spec: dict[str, Any], *, reads: Path) -> Cost:
    out.mkdir()
    config = out.with_suffix(".json")
    config.write_text(json.dumps(spec | {"out": str(out)}))
    os.sync()  # what was written before is on the disk, as what a worker has stored
    with reads.open("rb", buffering=0) as file:  # it is in memory, as a worker has hashed it
        while file.read(_READ):
            pass
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    started, used = time.monotonic(), _cpu()
    argv = [sys.executable, "-m", "pipeline", command, "--config", str(config), "--supervised"]
    # A supervised child ends, with its session, when its stdin is closed.
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        status = process.wait()
        elapsed = time.monotonic() - started
    assert status == 0, (command, status, (out / "problem.json").read_text() if (out / "problem.json").exists() else "")
    with suppress(ChildProcessError):
        while True:
            os.wait()  # for decoding processes, which end with their parent
    return Cost(elapsed, _cpu() - used)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
