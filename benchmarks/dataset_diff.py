"""What a difference of two datasets costs: `python -m benchmarks.dataset_diff [--images 50000]`.

Two image indexes of as many images with four boxes each. By case: what differs; the milliseconds and the memory that a
process of its own takes to compute the difference, and of these the milliseconds of the processor; the bytes of its
file; the milliseconds of the summary and of the first page of 50. One JSON line for each case.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from pipeline.dataset.model import SPLITS, Box
from pipeline.index.diff import IndexedDataset, write_diff
from pipeline.index.read_diff import ComparedDatasets, read_diff, read_summary
from pipeline.index.schema import IndexedImage
from pipeline.index.write import write_index

CLASSES = [f"class-{number:02d}" for number in range(20)]
BOXES = 4
CASES = {
    "nothing": (0.0, CLASSES),
    "2 % of the boxes' images, 2 % added": (0.02, CLASSES),
    "every image": (1.0, CLASSES),
    "2 %, and a class in front of all others": (0.02, ["a", *CLASSES]),
}
ROUNDS = 3  # medians


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--measure", type=Path, nargs=3, help="in a child: before, after, target")
    args = parser.parse_args()
    if args.measure:
        return _measure(*args.measure)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        write_index(_images(args.images, share=0.0, shift=0), folder / "before")
        Path(folder, "before.json").write_text(json.dumps(CLASSES))
        for number, (case, (share, classes)) in enumerate(CASES.items()):
            after = folder / f"after-{number}"
            write_index(_images(args.images, share=share, shift=len(classes) - len(CLASSES)), after)
            after.with_suffix(".json").write_text(json.dumps(classes))
            rounds = [_child(folder / "before", after, folder / f"diff-{number}-{turn}") for turn in range(ROUNDS)]
            best = {key: round(median(each[key] for each in rounds), 1) for key in rounds[0]}
            print(json.dumps({"benchmark": "dataset diff", "case": case, "images": args.images} | best), flush=True)
    return 0


def _images(count: int, *, share: float, shift: int) -> list[IndexedImage]:
    """`share`: of the images whose first box is moved, and of as many further images. `shift`: of the class ids."""
    rng, changes = random.Random(1), random.Random(2)
    found = []
    for number in range(round(count * (1 + (share if share < 1 else 0)))):
        path = f"images/{number:06d}.jpg"
        boxes = [_box(rng, shift) for _ in range(BOXES)]
        if number < count and changes.random() < share:
            boxes[0] = boxes[0]._replace(x2=boxes[0].x2 + 3000)
        found.append(_image(path, rng, tuple(sorted(boxes))))
    return found


def _box(rng: random.Random, shift: int) -> Box:
    x, y = rng.randrange(400_000), rng.randrange(300_000)
    width, height = rng.randrange(20_000, 200_000), rng.randrange(20_000, 150_000)
    return Box(rng.randrange(len(CLASSES)) + shift, x, y, x + width, y + height, False)


def _image(path: str, rng: random.Random, boxes: tuple[Box, ...]) -> IndexedImage:
    return IndexedImage(
        path=path,
        name=path,
        row=None,
        sha256=hashlib.sha256(path.encode()).hexdigest(),
        phash=rng.randbytes(32),
        split=rng.choices(SPLITS, (70, 20, 10))[0],
        label=None,
        width=640,
        height=480,
        format="JPEG",
        at=0,
        bytes=100_000,
        brightness=0.5,
        blur=0.1,
        box_count=len(boxes),
        boxes=boxes,
    )


def _child(before: Path, after: Path, target: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.dataset_diff", "--measure", *map(str, (before, after, target))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(before: Path, after: Path, target: Path) -> int:
    one, other = (IndexedDataset(path, json.loads(path.with_suffix(".json").read_text())) for path in (before, after))
    started_with = _peak_mib()
    started, cpu = time.perf_counter(), time.process_time()
    write_diff(one, other, target)
    cpu_ms = (time.process_time() - cpu) * 1000
    found = {"ms": _ms(started), "cpu_ms": cpu_ms, "mib": _peak_mib() - started_with, "mib_of_imports": started_with}
    compared = ComparedDatasets(target, one, other)
    started = time.perf_counter()
    read_summary(compared)
    found["summary_ms"] = _ms(started)
    started = time.perf_counter()
    read_diff(compared, limit=50)
    found |= {"page_ms": _ms(started), "file_bytes": target.stat().st_size}
    print(json.dumps(found))
    return 0


def _peak_mib() -> float:
    """`ru_maxrss` would be that of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    sys.exit(main())
