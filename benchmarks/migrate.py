"""What the migration to projects takes: `python -m benchmarks.migrate [--database sqlite|postgres] [--jobs 100000]`.

A database of 100,000 jobs, 20,000 runs and 10,000 versions with 17 artifacts each is brought to schema 0008 and back,
each in a process of its own. Prints one JSON line for each direction: seconds, processor time and peak memory of that
process. PostgreSQL's own memory is not in it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load_rows import fill
from core.db import open_database
from core.db.migrate import downgrade, upgrade
from tests.servers.postgres import DURABLE, private_postgres

OLD, NEW = "0008", "0009"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        return migrate(*args.step)
    for name in args.database or ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory(prefix="darkroom-migrate-") as folder, database(name, Path(folder)) as url:
            upgrade(url)
            db = open_database(url)
            fill(db, jobs=args.jobs, runs=args.jobs // 5, versions=args.jobs // 10, projects=0)
            db.close()
            for revision in (OLD, NEW):
                command = [sys.executable, "-m", "benchmarks.migrate", "--step", url, revision]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(json.dumps({"benchmark": "migrate", "database": name, **json.loads(done.stdout)}), flush=True)
    return None


@contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'darkroom.db'}"
        return
    with private_postgres(DURABLE) as server:
        yield server.url


def migrate(url: str, revision: str) -> None:
    began = time.monotonic()
    (downgrade if revision == OLD else upgrade)(url, revision)
    seconds = time.monotonic() - began
    figures = {
        "to": revision,
        "seconds": round(seconds, 1),
        "processor_seconds": round(time.process_time(), 1),
        "peak_mib": peak_mib(),
    }
    print(json.dumps(figures))


def peak_mib() -> int:
    """Of this process alone; what `getrusage` returns begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
