"""What a durable commit costs on SQLite: `python -m benchmarks.commits [--folder DIR] [--seconds 3]`.

With `synchronous=NORMAL` the log is not flushed at a commit: a power cut may take back the newest commits. With FULL it
is. For both, from 1 and from 8 threads: transitions of a row with their event, and uploads of 1 MB (the object is put,
then its row is committed), a second. Prints one JSON line for each; rounds alternate, and the median is reported.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from core.db.migrate import upgrade
from core.db.tables import JobRow
from core.domain.keys import upload_key
from core.services.context import Platform, open_platform
from core.services.jobs.commands import new_job_id, receive_job
from core.services.work.leases import claim_row, report_progress
from core.settings import Settings

MODES, THREADS, ROUNDS = ("NORMAL", "FULL"), (1, 8), 3
UPLOAD = random.Random(0).randbytes(1_000_000)

Work = Callable[[Platform, Path], Callable[[], None]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; by default that of temporary files")
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    found: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for mode in MODES:
            for name, work in {"transitions": transition, "uploads of 1 MB": upload}.items():
                for threads in THREADS:
                    found[name, mode, threads].append(_per_second(args.folder, mode, work, threads, args.seconds))
    for (name, mode, threads), rates in found.items():
        median, rounds = round(statistics.median(rates)), [round(rate) for rate in rates]
        figures = {"work": name, "synchronous": mode, "threads": threads, "per_second": median, "rounds": rounds}
        print(json.dumps({"benchmark": "commits", **figures}), flush=True)
    return 0


def transition(platform: Platform, _folder: Path) -> Callable[[], None]:
    """Reports progress of a claimed job: one guarded UPDATE and the INSERT of its event."""
    job_id = _receive(platform, new_job_id())
    claimed = claim_row(platform.db, JobRow, job_id, "benchmark", lease_seconds=3600)
    assert claimed is not None
    claim = claimed[0]

    def work() -> None:
        report_progress(platform.db, JobRow, claim, progress={"done": 1, "total": 2})

    return work


def upload(platform: Platform, folder: Path) -> Callable[[], None]:
    """Puts an object, which is flushed to the disk in both modes, and commits its row."""
    body = folder / f"body-{threading.get_ident()}"
    body.write_bytes(UPLOAD)

    def work() -> None:
        job_id = new_job_id()
        platform.store.put(upload_key(job_id), body)
        _receive(platform, job_id)

    return work


def _receive(platform: Platform, job_id: str) -> str:
    source: dict[str, Any] = {"source_name": "a.zip", "source_bytes": len(UPLOAD), "source_sha256": "0" * 64}
    return receive_job(platform, job_id, name="a", options={}, **source).id


def _per_second(parent: Path | None, mode: str, work: Work, threads: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory(prefix="darkroom-commits-", dir=parent) as name:
        folder = Path(name)
        platform = open_platform(Settings(home=folder / "home", database_url=f"sqlite:///{folder / 'darkroom.db'}"))
        upgrade(platform.settings.database)

        def set_mode(connection: Any, _record: Any) -> None:
            connection.execute(f"PRAGMA synchronous={mode}")

        event.listen(platform.db.engine, "connect", set_mode)
        done = [0] * threads
        ready = threading.Barrier(threads + 1)

        def run(number: int) -> None:
            repeat = work(platform, folder)
            ready.wait()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                repeat()
                done[number] += 1

        running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        ready.wait()
        started = time.monotonic()
        for thread in running:
            thread.join()
        platform.db.close()
        return sum(done) / (time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
