"""What the API answers under load: `python -m benchmarks.load [--database sqlite|postgres] [--seconds 5]`.

A `python -m api` on one core, over a database of 100,000 jobs, 20,000 runs and 10,000 versions, of which 5,000 jobs are
in 1,000 projects of five; `wrk`, PostgreSQL and this process on the other. Loopback only. Prints one JSON line for each
figure:
- requests a second and p99 of each kind of request, with ids or pages drawn at random, and the number of SQL statements
  that one request executes;
- resident memory before and after 20,000 requests of all kinds;
- the processor time of 200 event streams on which nothing happens;
- 100 uploads of 1 MB at once, then 20 of 100 MB: each must be answered, be a row, and be stored with its sha256.
At the end it prints the table of requests in Markdown. Exit status 1 when a figure misses its goal. Needs Linux with
two cores, `wrk` and `taskset`, and 4 GB of disk.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load_clients import count_statements, idle_streams_percent, run_wrk, upload_all
from benchmarks.load_rows import Filled, fill
from benchmarks.load_server import CLIENT_CORE, Server, serve
from core.db import open_database
from core.db.migrate import upgrade
from core.services.paging import cursor_after
from tests.servers.postgres import DURABLE, private_postgres

MIB = 1024**2
PAGE = 50
SINGLE, LIST = 800, 200  # requests a second, at least
P99_MS = 50.0  # of single items; 16 pages at once on one core take longer
MEMORY_MIB = 20.0
STREAMS, STREAMS_PERCENT = 200, 10.0
MEASURED_REQUESTS = 20_000
UPLOADS = ((100, MIB), (20, 100 * MIB))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--seconds", type=int, default=5, help="of each kind of request")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--only", choices=("requests", "memory", "streams", "uploads"), action="append")
    args = parser.parse_args()
    psutil.Process().cpu_affinity([CLIENT_CORE])
    found: list[dict[str, Any]] = []
    good = [_measure(name, args, found) for name in args.database or ("sqlite", "postgres")]
    print("\n".join(_table(found)))
    return 0 if all(good) else 1


def _measure(database: str, args: argparse.Namespace, found: list[dict[str, Any]]) -> bool:
    parts = args.only or ("requests", "memory", "streams", "uploads")
    with tempfile.TemporaryDirectory(prefix="darkroom-load-") as name, _database(database, Path(name)) as url:
        filled = _filled(url, args.jobs)
        good = True
        with serve(Path(name), url) as server:
            if "requests" in parts:
                good &= _requests(database, server, filled, args.seconds, found)
            if "memory" in parts:
                good &= _memory(database, server, filled)
            if "streams" in parts:
                good &= _streams(database, server, filled)
            if "uploads" in parts:
                good &= all([_uploads(database, server, *each) for each in UPLOADS])
        return good


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'darkroom.db'}"
        return
    with private_postgres(DURABLE) as server:
        yield server.url


def _filled(url: str, jobs: int) -> Filled:
    upgrade(url)
    db = open_database(url)
    filled = fill(db, jobs=jobs, runs=jobs // 5, versions=jobs // 10, projects=jobs // 100)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    db.close()
    return filled


def _requests(database: str, server: Server, filled: Filled, seconds: int, found: list[dict[str, Any]]) -> bool:
    good = True
    for kind, (paths, goal) in _kinds(filled).items():
        statements = count_statements(server.database_url, paths[0])
        figures = _load(server, paths, seconds)
        good &= figures["failed"] == 0 and figures["per_second"] >= goal
        good &= goal == LIST or figures["p99_ms"] <= P99_MS
        found.append({"database": database, "request": kind, "statements": statements, "goal": goal, **figures})
        _print("requests", database, request=kind, statements=statements, goal_per_second=goal, **figures)
    return good


def _table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| database | request | a second (goal) | p99 | processor time | SQL statements |\n|---|---|---|---|---|---|"
    for each in found:
        speed = f"{each['per_second']} ({each['goal']})"
        times = f"{each['p99_ms']:.0f} ms | {each['cpu_ms']} ms"
        yield f"| {each['database']} | `{each['request']}` | {speed} | {times} | {each['statements']} |"


def _load(server: Server, paths: Sequence[str], seconds: int) -> dict[str, Any]:
    """With the milliseconds of the server's processor a request, which hardly depend on what else runs."""
    before = server.cpu_seconds()
    figures = run_wrk(server.url, paths, seconds=seconds)
    return figures | {"cpu_ms": round(1000 * (server.cpu_seconds() - before) / max(figures["requests"], 1), 2)}


def _memory(database: str, server: Server, filled: Filled) -> bool:
    """The first requests import modules and fill caches of a fixed size."""
    paths = [path for kind, _goal in _kinds(filled).values() for path in kind[:500]]
    _load(server, paths, 10)
    before, done = server.memory_bytes(), 0
    while done < MEASURED_REQUESTS:
        done += _load(server, paths, 10)["requests"]
    after = server.memory_bytes()
    grown = round((after - before) / MIB, 1)
    figures = {"before_mib": round(before / MIB, 1), "after_mib": round(after / MIB, 1), "grown_mib": grown}
    _print("memory", database, requests=done, **figures, allowed_mib=MEMORY_MIB)
    return grown <= MEMORY_MIB


def _streams(database: str, server: Server, filled: Filled) -> bool:
    paths = [f"/jobs/{job_id}/events" for job_id in filled.waiting[:STREAMS]]
    percent = idle_streams_percent(server, paths)
    _print("streams", database, streams=len(paths), percent_of_a_core=percent, allowed_percent=STREAMS_PERCENT)
    return percent <= STREAMS_PERCENT


def _uploads(database: str, server: Server, count: int, size: int) -> bool:
    figures = upload_all(server, count=count, mib=size // MIB)
    _print("uploads", database, uploads=count, mib=size // MIB, **figures)
    return bool(figures["lost"] == 0)


def _kinds(filled: Filled) -> dict[str, tuple[list[str], int]]:
    """Paths of each kind of request, and its goal in requests a second."""
    living = [each for each in filled.jobs if each not in filled.deleted]
    return {
        "/health": (["/health"], SINGLE),
        "/jobs/{id}": (_some([f"/jobs/{each}" for each in living]), SINGLE),
        "/runs/{id}": (_some([f"/runs/{each}" for each in filled.runs]), SINGLE),
        "/jobs, page 1": ([f"/jobs?limit={PAGE}"], LIST),
        "/jobs, page 1000": ([_page("/jobs", living, 1000)], LIST),
        "/jobs?state=ready, page 1": ([f"/jobs?limit={PAGE}&state=ready"], LIST),
        "/jobs?state=ready, page 1000": ([_page("/jobs", filled.ready, 1000, "&state=ready")], LIST),
        "/runs, page 1": ([f"/runs?limit={PAGE}"], LIST),
        "/runs, any page": (_pages("/runs", filled.runs), LIST),
        "/runs?state=succeeded, any page": (_pages("/runs", filled.runs, "&state=succeeded"), LIST),
        "/projects, page 1": ([f"/projects?limit={PAGE}"], LIST),
        "/projects, any page": (_pages("/projects", list(filled.projects.values())), LIST),
        "/jobs?project=": ([f"/jobs?limit={PAGE}&project={slug}" for slug in filled.projects], LIST),
        "/runs?project=": ([f"/runs?limit={PAGE}&project={slug}" for slug in filled.projects], LIST),
        "/models/{slug}": ([f"/models/{slug}?limit={PAGE}" for slug in filled.projects], LIST),
        "/models, page 1": ([f"/models?limit={PAGE}"], LIST),
        "/models, any page": (_pages("/models", filled.versions), LIST),
    }


def _some(paths: Sequence[str]) -> list[str]:
    """At most 5,000, from the first to the last."""
    return list(paths[:: len(paths) // 5000 + 1])


def _pages(path: str, ids: Sequence[str], query: str = "") -> list[str]:
    return [_page(path, ids, number, query) for number in range(2, len(ids) // PAGE, 3)]


def _page(path: str, ids: Sequence[str], number: int, query: str = "") -> str:
    """Page `number`, newest first; the last one where there are not that many."""
    last = ids[max(-PAGE * (number - 1), -len(ids) + PAGE)]
    return f"{path}?limit={PAGE}&cursor={cursor_after(last)}{query}"


def _print(part: str, database: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": "load", "part": part, "database": database, **figures}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
