"""Rows of a service that has run for a year, inserted in bulk: jobs, runs and versions with their artifacts.

The ids are as the service makes them, one a second. Nothing is stored for the keys that the rows name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import insert

from core.db import Database
from core.db.base import Base
from core.db.tables import ArtifactRow, DatasetRow, JobRow, ProjectRow, ProjectSlugRow, RunRow, VersionRow
from core.domain.ids import new_id
from core.domain.slugs import slug_with_suffix

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_AT_ONCE = 2000
JOBS_A_SET = 20
JOBS_A_PROJECT = 5
_WIDE = 10_000_000  # the first number of the rows of `fill_wide`
STATES = ("ready",) * 16 + ("rejected", "failed", "received", "deleted")
CLASSES = ["anchor", "buoy", "crane", "dock", "ferry"]
FINDINGS = {"box-tiny": {"severity": "note", "count": 12}, "image-duplicate": {"severity": "warning", "count": 3}}
PLOTS = [f"plot_{number:02d}.png" for number in range(12)]
ARTIFACTS = sorted(["best.pt", "data.yaml", "metrics.json", "model.json", "results.csv", *PLOTS])
SCORES = {"precision": 0.913, "recall": 0.874, "mAP50": 0.905, "mAP50-95": 0.688, "f1": 0.893}
METRICS = {"test": SCORES | {"per_class": {name: SCORES for name in CLASSES}}, "val": SCORES}
PARAMS = {"model": "yolov8n", "epochs": 100, "imgsz": 640, "batch": 16, "lr0": 0.01, "patience": 50, "seed": 0}


@dataclass(frozen=True)
class Filled:
    """Ids, oldest first. `waiting`: jobs that no worker has claimed."""

    jobs: Sequence[str]
    deleted: frozenset[str]
    waiting: Sequence[str]
    ready: Sequence[str]
    runs: Sequence[str]
    versions: Sequence[str]
    projects: Mapping[str, str]  # of several datasets: id by slug, oldest first


def fill(db: Database, *, jobs: int = 100_000, runs: int = 20_000, versions: int = 10_000, projects: int = 0) -> Filled:
    """The newest ready jobs have two runs each; the first of the two is published, as long as there are `versions`.

    The newest jobs belong to `projects` of five datasets each, the others to one of their own.
    """
    job_rows = [_job(number, STATES[number % len(STATES)]) for number in range(jobs)]
    shared = job_rows[jobs - projects * JOBS_A_PROJECT :]
    for number, row in enumerate(shared):
        row["project_id"] = _project_id(shared[number - number % JOBS_A_PROJECT]["id"])
        row["revision"] = 1 + number % JOBS_A_PROJECT
    project_ids = {row["id"]: row["project_id"] for row in job_rows}
    ready = [row["id"] for row in job_rows if row["state"] == "ready"]
    trained = ready[-(runs // 2) :]
    run_rows = [_run(number, trained[number // 2]) for number in range(runs)]
    for row in run_rows:
        row["project_id"] = project_ids[row["job_id"]]
    last_versions = Counter[str]()
    version_rows = [_version(number, run_rows[2 * number], last_versions) for number in range(versions)]
    published = {row["job_id"]: row["number"] for row in version_rows}
    for row in job_rows:
        row["last_version"] = published.get(row["id"], 0)
    project_rows = _projects(job_rows, last_versions)
    _insert(db, DatasetRow, (_dataset(number) for number in range(0, jobs, JOBS_A_SET)))
    _insert(db, ProjectRow, iter(project_rows))
    _insert(db, ProjectSlugRow, ({"slug": row["slug"], "project_id": row["id"]} for row in project_rows))
    _insert(db, JobRow, iter(job_rows))
    _insert(db, RunRow, iter(run_rows))
    _insert(db, VersionRow, iter(version_rows))
    _insert(db, ArtifactRow, (artifact for row in version_rows for artifact in _artifacts(row)))
    return Filled(
        jobs=[row["id"] for row in job_rows],
        deleted=frozenset(row["id"] for row in job_rows if row["state"] == "deleted"),
        waiting=[row["id"] for row in job_rows if row["state"] == "received"],
        ready=ready,
        runs=[row["id"] for row in run_rows],
        versions=[row["id"] for row in version_rows],
        projects={row["slug"]: row["id"] for row in project_rows if not row["implicit"]},
    )


def fill_wide(db: Database, slug: str, *, datasets: int = 40, versions: int = 2000, classes: int = 1000) -> str:
    """One project with so many datasets and versions of so many classes; the id of its newest dataset.

    The versions are of the newest dataset. Each dataset has a class that no other one has.
    """
    numbers = range(_WIDE, _WIDE + datasets)
    job_rows = [_job(number, "ready") for number in numbers]
    project_id = job_rows[0]["project_id"]
    for revision, row in enumerate(job_rows, 1):
        names = [f"class {number:04d}" for number in range(classes - 1)]
        row |= {"project_id": project_id, "revision": revision, "classes": [*names, f"class of d{revision}"]}
    newest = job_rows[-1]
    metrics = METRICS | {"test": SCORES | {"per_class": dict.fromkeys(newest["classes"], SCORES)}}
    run_rows = [_run(_WIDE + number, newest["id"]) | {"project_id": project_id} for number in range(versions)]
    counted = Counter[str]()
    version_rows = (
        _version(_WIDE + number, run, counted) | {"metrics": metrics} for number, run in enumerate(run_rows)
    )
    newest["last_version"] = versions
    (project,) = _projects([job_rows[0]], {project_id: versions})
    project |= {"slug": slug, "title": slug, "implicit": False, "last_revision": datasets}
    for run in run_rows:
        run["state"] = "succeeded"
    _insert(db, DatasetRow, (_dataset(number) for number in numbers if number % JOBS_A_SET == 0))
    _insert(db, ProjectRow, iter([project]))
    _insert(db, ProjectSlugRow, iter([{"slug": slug, "project_id": project_id}]))
    _insert(db, JobRow, iter(job_rows))
    made = list(version_rows)  # which numbers the runs
    _insert(db, RunRow, iter(run_rows))
    _insert(db, VersionRow, iter(made))
    return str(newest["id"])


def _insert(db: Database, table: type[Base], rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        with db.transaction() as session:
            session.execute(insert(table), batch)


def _fingerprint(number: int) -> str:
    """Of the job's prepared set, which it shares with the ready ones of 20 jobs."""
    return f"{number // JOBS_A_SET:064x}"


def _dataset(number: int) -> dict[str, Any]:
    fingerprint = _fingerprint(number)
    return {
        "fingerprint": fingerprint,
        "layout_version": 2,
        "state": "live",
        "key": f"datasets/2/{fingerprint}.tar",
        "bytes": 41_000_000,
        "sha256": "1" * 64,
        "created_at": START,
    }


def _projects(jobs: Sequence[dict[str, Any]], last_versions: Mapping[str, int]) -> list[dict[str, Any]]:
    """By their first jobs. Of a single upload, as most are, or with five datasets."""
    revisions = Counter(job["project_id"] for job in jobs)
    return [
        {
            "id": job["project_id"],
            "slug": slug_with_suffix(job["name"], job["id"]),
            "title": job["name"],
            "kind": "detection",
            "implicit": revisions[job["project_id"]] == 1,
            "settings": {},
            "last_revision": revisions[job["project_id"]],
            "last_version": last_versions.get(job["project_id"], 0),
            "created_at": job["created_at"],
            "updated_at": job["updated_at"],
            "deleted_at": job["deleted_at"] if revisions[job["project_id"]] == 1 else None,
        }
        for job in jobs
        if job["revision"] == 1
    ]


def _project_id(job_id: str) -> str:
    return f"project_{job_id.removeprefix('job_')}"


def _job(number: int, state: str) -> dict[str, Any]:
    job_id, at = _id("job", number), START + timedelta(seconds=number)
    read = state in ("ready", "rejected")
    ended = state != "received"
    return {
        "id": job_id,
        "project_id": _project_id(job_id),
        "revision": 1,
        "name": f"harbour {number}",
        "state": state,
        "options": {"val_fraction": 0.2, "test_fraction": 0.1, "seed": 0, "on_error": "reject", "split": "keep"},
        "source_name": "harbour.zip",
        "source_bytes": 41_234_567,
        "source_sha256": "0" * 64,
        "source_key": f"uploads/{job_id}/source.zip",
        "kind": "detection" if read else None,
        "format": "voc" if read else None,
        "classes": CLASSES if read else None,
        "images": 1200 if read else None,
        "findings": FINDINGS if read else None,
        "problem": None if state in ("ready", "received", "deleted") else _problem(state),
        "fingerprint": _fingerprint(number) if state == "ready" else None,
        "content_fingerprint": "c" * 64 if state == "ready" else None,
        "metadata_key": f"jobs/{job_id}/1/dataset_metadata.json" if state == "ready" else None,
        "metadata_sha256": "2" * 64 if state == "ready" else None,
        "deleted_at": at if state == "deleted" else None,
        "purged_at": at if state == "deleted" else None,
        "erased_at": at if state == "deleted" else None,
        "mlflow_deleted_at": at if state == "deleted" else None,
        **_leased(at, ended=ended),
    }


def _problem(state: str) -> dict[str, Any]:
    slug = "dataset-rejected" if state == "rejected" else "preparation-failed"
    return {"type": f"/problems/{slug}", "slug": slug, "title": "The dataset has errors", "detail": "3 boxes."}


def _run(number: int, job_id: str) -> dict[str, Any]:
    state = "succeeded" if number % 2 == 0 else ("failed", "cancelled", "succeeded")[number // 2 % 3]
    at = START + timedelta(days=10, seconds=number)
    progress = {"epoch": 100, "epochs": 100, "metrics": SCORES, "seconds_left": 0.0}
    return {
        "id": _id("run", number),
        "job_id": job_id,
        "trainer": "yolo",
        "params": PARAMS,
        "fingerprint": "f" * 64,
        "state": state,
        "progress": progress,
        "version": None,
        "mirror_seq": 5,
        "mirrored_at": at,
        **_leased(at, ended=True),
    }


def _version(number: int, run: dict[str, Any], last_versions: Counter[str]) -> dict[str, Any]:
    """The next of its project, which is counted; its run gets its number."""
    last_versions[run["project_id"]] += 1
    run["version"] = last_versions[run["project_id"]]
    path = f"/models/{run['job_id']}/v{run['version']}"
    return {
        "id": _id("version", number),
        "project_id": run["project_id"],
        "job_id": run["job_id"],
        "number": run["version"],
        "run_id": run["id"],
        "attempt": 1,
        "trainer": "yolo",
        "params": PARAMS,
        "metrics": METRICS,
        "fingerprint": "f" * 64,
        "weights_name": "best.pt",
        "artifacts": [_listed(name) | {"links": {"self": f"{path}/artifacts/{name}"}} for name in ARTIFACTS],
        "created_at": run["finished_at"],
    }


def _artifacts(version: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ARTIFACTS:
        key = f"runs/{version['run_id']}/1/artifacts/{name}"
        yield {"version_id": version["id"], "key": key, **_listed(name)}


def _listed(name: str) -> dict[str, Any]:
    media_type = "image/png" if name.endswith(".png") else "application/octet-stream"
    return {"name": name, "bytes": 123_456, "sha256": "3" * 64, "media_type": media_type}


def _leased(at: datetime, *, ended: bool) -> dict[str, Any]:
    return {
        "attempt": int(ended),
        "worker": "host:17" if ended else None,
        "lost_leases": 0,
        "refusals": 0,
        "enqueue_count": 1,
        "enqueued_at": at.timestamp(),
        "event_seq": 5 if ended else 1,
        "created_at": at,
        "updated_at": at,
        "started_at": at if ended else None,
        "finished_at": at if ended else None,
    }


def _id(prefix: str, number: int) -> str:
    return new_id(prefix, int(START.timestamp() * 1000) + 1000 * number)
