"""How fast a dataset is prepared: `python -m benchmarks.prepare --peer .venv-bench/bin/python [--rounds 5]`.

Three processes one after the other, round by round, on the same cores (two), over a generated set of 5,000 photo-like
JPEGs and, where DARKROOM_TEST_DATA is set, `raccoon` (200):
- ours: `python -m pipeline prepare`: read, validate every image and box, find near-duplicates, split, convert to
  YOLO, fingerprint, tar with its digest. The stage `drawing` (plots and thumbnails, which the peer does not make) is
  not counted, except in `ours_whole_seconds`;
- supervision: unzip, VOC to YOLO as in its manual, without validation (requirements-bench.txt in a venv of its own);
- floor: inflating, hashing and decoding alone, with the same decode mode, in two processes, writing nothing.
All are timed from the start of the process to its end. One JSON line for each set: medians and ratios of medians.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.image_sets import PHOTO, write_set
from pipeline.params.prepare import PrepareOptions

OPTIONS = PrepareOptions().model_dump()
PROCESSES = 2

PEER = """
import sys, zipfile
from pathlib import Path
import supervision as sv
archive, folder = sys.argv[1], Path(sys.argv[2])
with zipfile.ZipFile(archive) as file:
    file.extractall(folder)
images, documents = (next(folder.rglob(pattern)).parent for pattern in ("*.jpg", "*.xml"))
dataset = sv.DetectionDataset.from_pascal_voc(str(images), str(documents))
yolo = folder / "yolo"
dataset.as_yolo(str(yolo / "images"), str(yolo / "labels"), str(yolo / "data.yaml"))
"""

FLOOR = """
import hashlib, io, multiprocessing, sys, zipfile
from PIL import Image

def work(part):
    archive, first, step = part
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist()[first::step]:
            content = file.read(entry)
            if entry.filename.endswith(".jpg"):
                hashlib.sha256(content).digest()
                with Image.open(io.BytesIO(content)) as image:
                    image.draft(None, (max(image.width // 8, 32), max(image.height // 8, 32)))
                    image.load()

if __name__ == "__main__":
    processes = int(sys.argv[2])
    parts = [(sys.argv[1], number, 20 * processes) for number in range(20 * processes)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pool.map(work, parts, chunksize=1)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python that has supervision; without it the peer is left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000, help="of the made set")
    parser.add_argument("--made", type=Path, help="keep the made set here, and take it from here when it is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        for title, archive, images in _sets(folder, args.made, args.images):
            compare(title, archive, images, folder, peer=args.peer, rounds=args.rounds)
    return 0


def compare(title: str, archive: Path, images: int, folder: Path, *, peer: str | None, rounds: int) -> None:
    """One line of figures. Rounds are interleaved, so that a slow minute of the machine falls on all."""
    ways: dict[str, Callable[[Path, Path], float]] = {"ours": _ours, "floor": _floor}
    if peer:
        ways["supervision"] = lambda archive, out: _timed([peer, "-c", PEER, str(archive), str(out)])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    whole: list[float] = []
    for _ in range(rounds):
        for name, way in ways.items():
            out = folder / "out"
            os.sync()  # so that no round pays for what another has written
            taken = way(archive, out)
            if name == "ours":
                whole.append(taken)
                taken -= _stages(out)["drawing"]
            seconds[name].append(taken)
            shutil.rmtree(out, ignore_errors=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    figures: dict[str, object] = {
        "benchmark": "prepare",
        "set": title,
        "images": images,
        "rounds": rounds,
        "seconds": {name: round(value, 2) for name, value in medians.items()},
        "ours_whole_seconds": round(statistics.median(whole), 2),
        "images_per_second": {name: round(images / value) for name, value in medians.items()},
        "ours_over_floor": round(medians["ours"] / medians["floor"], 2),
        "spread": {name: [round(min(values), 2), round(max(values), 2)] for name, values in seconds.items()},
    }
    if peer:
        figures["times_supervision"] = round(medians["supervision"] / medians["ours"], 2)
    print(json.dumps(figures), flush=True)


def _sets(folder: Path, made: Path | None, images: int) -> list[tuple[str, Path, int]]:
    archive = made or folder / "made.zip"
    if not archive.exists():
        write_set(archive, images=images, size=PHOTO)
    found = [("made", archive, images)]
    shared = os.environ.get("DARKROOM_TEST_DATA")
    if shared:
        found.append(("raccoon", Path(shared) / "data/raccoon-voc.zip", 200))
    return found


def _ours(archive: Path, out: Path) -> float:
    """As the worker starts it: the spec contains the size and digest of the archive, which are known already."""
    out.mkdir()
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": digest}
    spec = {
        "archive": str(archive),
        "out": str(out / "out"),
        "source": source,
        "options": OPTIONS,
        "processes": PROCESSES,
        "tree": False,
    }
    (out / "spec.json").write_text(json.dumps(spec))
    seconds = _timed([sys.executable, "-m", "pipeline", "prepare", "--config", str(out / "spec.json"), "--supervised"])
    result = json.loads((out / "out/result.json").read_text())
    assert result["outcome"] == "ready" and result["tar"], result
    return seconds


def _stages(out: Path) -> dict[str, float]:
    stages: dict[str, float] = json.loads((out / "out/dataset_metadata.json").read_text())["times"]["seconds"]
    return stages


def _floor(archive: Path, out: Path) -> float:
    del out
    return _timed([sys.executable, "-c", FLOOR, str(archive), str(PROCESSES)])


def _timed(command: list[str]) -> float:
    started = time.monotonic()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # a supervised child ends when it is closed
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        process.wait()
        taken = time.monotonic() - started
    assert process.returncode == 0, f"exit status {process.returncode}"
    return taken


if __name__ == "__main__":
    sys.exit(main())
