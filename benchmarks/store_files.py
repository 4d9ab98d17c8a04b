"""What a file costs on its way into the folder store and out of it, with a copy and without:
`python -m benchmarks.store_files [--folder DIR] [--mebibytes 1600]`.

`put` and `take` get a file that was just written, `fetch` and `lend` the object made of it. Prints one JSON line for
each: seconds, seconds of the processor, and bytes of the disk that it took; medians, and all rounds, which alternate.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.storage.folder import FolderStore
from core.storage.transfer import sha256_of

ROUNDS = 3
MIB = 1024**2
BLOCK_MIB = 16


class Cost(NamedTuple):
    seconds: float
    cpu_seconds: float
    disk_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; by default that of temporary files")
    parser.add_argument("--mebibytes", type=int, default=1600)
    args = parser.parse_args()
    found: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(ROUNDS):
        for into, out in (("put", "fetch"), ("take", "lend")):
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                for name, cost in _there_and_back(Path(folder), into, out, args.mebibytes).items():
                    found[name].append(cost)
    for name, costs in found.items():
        rounds = [tuple(round(value, 2) for value in cost) for cost in costs]
        medians = Cost(*(statistics.median(values) for values in zip(*rounds, strict=True)))._asdict()
        print(json.dumps({"benchmark": "store_files", "call": name, **medians, "rounds": rounds}), flush=True)
    return 0


def _there_and_back(folder: Path, into: str, out: str, mebibytes: int) -> dict[str, Cost]:
    store, file = FolderStore(folder / "objects"), folder / "file"
    with file.open("wb") as writing:
        for _ in range(mebibytes // BLOCK_MIB):
            writing.write(os.urandom(BLOCK_MIB * MIB))
    costs = {
        into: _cost(folder, lambda: getattr(store, into)("object", file)),
        out: _cost(folder, lambda: getattr(store, out)("object", folder / "got")),
    }
    return costs | {"sha256 alone": _cost(folder, lambda: sha256_of(file))}


def _cost(folder: Path, work: Callable[[], object]) -> Cost:
    used, cpu, began = shutil.disk_usage(folder).used, time.process_time(), time.perf_counter()
    work()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return Cost(seconds, cpu_seconds, shutil.disk_usage(folder).used - used)


if __name__ == "__main__":
    sys.exit(main())
