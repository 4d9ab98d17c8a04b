"""A revision beside its whole: `python -m benchmarks.extend [--images 5000 --added 100 --size 1280x960]`.

A made set of photographs is prepared; then some are added, by `python -m pipeline extend` as a worker starts it, which
writes the ZIP of the revision and prepares it. Beside it the whole, with the added images, is prepared as one upload.
One JSON line, with elapsed times and with the processor time of all processes (`_cpu`), on which another load of the
machine has less influence.
Exits with 1 where the revision takes more than a quarter of the elapsed time of the whole. Linux only.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.revisions import arguments, write_parts
from pipeline.params.prepare import PrepareOptions

GOAL = 0.25
PROCESSES = 2
_SUBREAPER = 36  # of prctl(2): descendants whose parent has ended become children of this process


class Cost(NamedTuple):
    """In seconds: elapsed, and of the processor, by the command and all processes that it started."""

    elapsed: float
    cpu: float


def main() -> int:
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        whole, first, more = write_parts(folder, images=args.images, added=args.added, size=args.size)
        before, _ = _prepare(folder / "before", first)
        everything = _prepare(folder / "all", whole)[1]
        spec: dict[str, Any] = {
            "parent": str(first),
            "verified": True,  # as by a worker, which hashes each ZIP when it fetches it, also that of the whole
            "index": str(folder / "before/images.sqlite"),
            "kind": "detection",
        }
        spec |= {"classes": before["classes"], "additions": str(more), "options": PrepareOptions().model_dump()}
        known = {"extended": True, "known": spec["index"], "samples": str(folder / "before/samples.tar")}
        prepare = _prepare_spec(folder / "extend/extended.zip", source={}, out=str(folder / "revision"), **known)
        revision = _run("extend", folder / "extend", spec | {"processes": PROCESSES, "prepare": prepare})
        row = {
            "benchmark": "extend",
            "images": args.images,
            "added": args.added,
            "pixels": args.size,
            "bytes": whole.stat().st_size,
            "all_seconds": round(everything.elapsed, 2),
            "revision_seconds": round(revision.elapsed, 2),
            "ratio": round(revision.elapsed / everything.elapsed, 3),
            "all_cpu": round(everything.cpu, 2),
            "revision_cpu": round(revision.cpu, 2),
            "ratio_cpu": round(revision.cpu / everything.cpu, 3),
            "goal": GOAL,
        }
    print(json.dumps(row))
    return 0 if row["ratio"] <= GOAL else 1


def _prepare(out: Path, archive: Path) -> tuple[dict[str, Any], Cost]:
    source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": "0" * 64}
    cost = _run("prepare", out, _prepare_spec(archive, source=source))
    return json.loads((out / "result.json").read_text()), cost


def _prepare_spec(archive: Path, **more: Any) -> dict[str, Any]:
    options = PrepareOptions().model_dump()
    return {"archive": str(archive), "options": options, "tree": False, "processes": PROCESSES, **more}


def _run(command: str, out: Path, spec: dict[str, Any]) -> Cost:
    out.mkdir()
    config = out.with_suffix(".json")
    config.write_text(json.dumps(spec | {"out": str(out)}))
    os.sync()  # what was written before is on the disk, as what a worker has stored
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
