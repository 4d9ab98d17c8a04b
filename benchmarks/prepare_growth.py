"""What preparing costs as sets grow: `python -m benchmarks.prepare_growth [--images 1000 10000 100000]`.

Sets of tiny images (24 x 24, 700 bytes) with one to four boxes each: what is measured is what each image costs
besides its pixels. `python -m pipeline prepare` runs as the worker starts it; every 50 ms the resident memory of it
and of its decoding processes is added up. One JSON line for each size: seconds by stage, the process's own time
outside all stages, peak memory of the whole tree and of the main process. The last line says how much memory each
further image costs, and exits with 1 where that is above 2 KB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.image_sets import TINY, write_set
from pipeline.params.prepare import PrepareOptions

ALLOWED_BYTES = 2048  # of memory for each image
SAMPLE_SECONDS = 0.05
OPTIONS = PrepareOptions().model_dump()
PROCESSES = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--sets", type=Path, help="a folder that keeps the made sets: made-<images>.zip")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        rows = [_row(images, args.sets or Path(name)) for images in args.images]
    first, last = rows[0], rows[-1]
    if first is last:
        return 0
    grown = {
        what: round((last[what] - first[what]) * 1024**2 / (last["images"] - first["images"]))
        for what in ("tree_peak_mib", "main_peak_mib")
    }
    print(json.dumps({"benchmark": "prepare growth", "bytes_for_each_image": grown, "allowed": ALLOWED_BYTES}))
    return 0 if max(grown.values()) <= ALLOWED_BYTES else 1


def _row(images: int, sets: Path) -> dict[str, Any]:
    archive = sets / f"made-{images}.zip"
    if not archive.exists():
        write_set(archive, images=images, size=TINY)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-", dir=sets) as name:
        out = Path(name) / "out"
        source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": "0" * 64}
        spec = {
            "archive": str(archive),
            "out": str(out),
            "source": source,
            "options": OPTIONS,
            "processes": PROCESSES,
            "tree": False,
        }
        (Path(name) / "spec.json").write_text(json.dumps(spec))
        started = time.monotonic()
        command = [sys.executable, "-m", "pipeline", "prepare", "--config", f"{name}/spec.json", "--supervised"]
        quiet = subprocess.DEVNULL
        # A supervised child ends, with its session, when its stdin is closed.
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        ) as process:
            tree, own = _peaks(process)
        seconds = time.monotonic() - started
        assert process.returncode == 0, f"exit status {process.returncode}"
        stages = json.loads((out / "dataset_metadata.json").read_text())["times"]["seconds"]
    row = {
        "benchmark": "prepare growth",
        "images": images,
        "seconds": round(seconds, 1),
        "ms_for_each_image": round(seconds / images * 1000, 2),
        "tree_peak_mib": round(tree / 1024**2, 1),
        "main_peak_mib": round(own / 1024**2, 1),
        "stages": stages,
        "outside_stages": round(seconds - sum(stages.values()), 1),
    }
    print(json.dumps(row), flush=True)
    return row


def _peaks(process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    """Bytes at most, until it ends: of it with its children, and of it alone."""
    main, tree, own = psutil.Process(process.pid), 0, 0
    while process.poll() is None:
        try:
            alone = main.memory_info().rss
            tree = max(tree, alone + sum(child.memory_info().rss for child in main.children(recursive=True)))
            own = max(own, alone)
        except psutil.NoSuchProcess:
            continue  # a decoder ended between two looks
        time.sleep(SAMPLE_SECONDS)
    return tree, own


if __name__ == "__main__":
    sys.exit(main())
