"""What a revision costs beside preparing it as a whole: `python -m benchmarks.extend [--images 5000 --added 100]`.

A made set of photographs is prepared; then some are added, by `python -m pipeline extend` and `prepare` as a worker
starts them. Beside it the whole, with the added images, is prepared as one upload. One JSON line; exits
with 1 where the revision takes more than a quarter of that.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.image_sets import LARGE_PHOTO, PHOTO, write_set
from pipeline.params.prepare import PrepareOptions
from pipeline.process.results import WRITTEN_FILE

GOAL = 0.25
PROCESSES = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--added", type=int, default=100)
    parser.add_argument("--small", action="store_true", help=f"images of {PHOTO}, not {LARGE_PHOTO}")
    args = parser.parse_args()
    size = PHOTO if args.small else LARGE_PHOTO
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        whole, first, more = (folder / f"{part}.zip" for part in ("whole", "first", "more"))
        write_set(whole, images=args.images + args.added, size=size)
        _divide(whole, first, more, args.images)
        before, _ = _prepare(folder / "before", first)
        everything = _prepare(folder / "all", whole)[1]
        spec: dict[str, Any] = {
            "parent": str(first),
            "index": str(folder / "before/images.sqlite"),
            "kind": "detection",
        }
        spec |= {"classes": before["classes"], "additions": str(more), "options": PrepareOptions().model_dump()}
        extended = _run("extend", folder / "extend", spec | {"processes": PROCESSES})
        known = {"extended": True, "known": spec["index"], "written": str(folder / "extend" / WRITTEN_FILE)}
        known["samples"] = str(folder / "before/samples.tar")
        _, prepared = _prepare(folder / "revision", folder / "extend/extended.zip", **known)
        row = {
            "benchmark": "extend",
            "images": args.images,
            "added": args.added,
            "pixels": size,
            "bytes": whole.stat().st_size,
            "all_seconds": round(everything, 2),
            "extend_seconds": round(extended, 2),
            "prepare_seconds": round(prepared, 2),
            "ratio": round((extended + prepared) / everything, 3),
            "goal": GOAL,
        }
    print(json.dumps(row))
    return 0 if row["ratio"] <= GOAL else 1


def _divide(whole: Path, first: Path, more: Path, images: int) -> None:
    with (
        zipfile.ZipFile(whole) as source,
        zipfile.ZipFile(first, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as left,
        zipfile.ZipFile(more, "w") as right,
    ):
        for entry in source.infolist():
            number = int(Path(entry.filename).stem)
            (left if number < images else right).writestr(entry.filename, source.read(entry))


def _prepare(out: Path, archive: Path, **more: Any) -> tuple[dict[str, Any], float]:
    source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": "0" * 64}
    spec = {"archive": str(archive), "source": source, "options": PrepareOptions().model_dump(), "tree": False, **more}
    seconds = _run("prepare", out, spec | {"processes": PROCESSES})
    return json.loads((out / "result.json").read_text()), seconds


def _run(command: str, out: Path, spec: dict[str, Any]) -> float:
    out.mkdir()
    config = out.with_suffix(".json")
    config.write_text(json.dumps(spec | {"out": str(out)}))
    started = time.monotonic()
    argv = [sys.executable, "-m", "pipeline", command, "--config", str(config), "--supervised"]
    # A supervised child ends, with its session, when its stdin is closed.
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        status = process.wait()
    assert status == 0, (command, status, (out / "problem.json").read_text() if (out / "problem.json").exists() else "")
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
