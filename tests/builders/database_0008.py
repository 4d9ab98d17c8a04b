"""A database of the schema at revision 0008, as the service of that time leaves it.

The rows of database_0006, migrated, and those that only schema 0008 can have. Nothing is stored for the keys.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from core.db import open_database
from core.db.migrate import upgrade
from tests.builders import database_0006 as old
from tests.builders.database_0006 import FINGERPRINT, OPTIONS, START, job_id, run_id

ERASED, LEFT, TRAINED, LONG_NAMED, UNNAMED, *NAMESAKES = map(job_id, range(21, 29))
# Jobs with one name whose ids have the same last characters.
NAMESAKES += ["job_01k6a0000000000000twinsame", "job_01k6b0000000000000twinsame", "job_01k6c0000000000000twinsame"]
ERASED_RUN, LEFT_RUN, *TRAINED_RUNS = map(run_id, range(21, 26))
LONG_NAME = "Waschbären 浣熊 🦝 " * 20
VERSIONS = 3  # of the job TRAINED


def fill(url: str) -> None:
    """Make the database, and insert its rows."""
    upgrade(url, "0006")
    _insert(url, old.ROWS)
    upgrade(url, "0008")
    _insert(url, ROWS)


def _insert(url: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    database = open_database(url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        for table, values in rows.items():
            old.insert(connection, table, *values)
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ANALYZE"))
    database.close()


def _at(minutes: int) -> Any:
    return START + timedelta(days=30, minutes=minutes)


def _job(id: str, state: str = "ready", **values: Any) -> dict[str, Any]:
    prepared = {"kind": "detection", "format": "yolo", "classes": ["räv"], "images": 3, "fingerprint": FINGERPRINT}
    return {
        "id": id,
        "name": "scenes",
        "state": state,
        "options": OPTIONS,
        "source_name": "scenes.zip",
        "source_bytes": 41_234_567,
        "source_sha256": "0" * 64,
        "last_version": 0,
        "attempt": 2,
        "worker": "host:17",
        "lost_leases": 1,
        "refusals": 2,
        "enqueued_at": 1793435400.25,
        "enqueue_count": 2,
        "event_seq": 0,
        "created_at": _at(0),
        "updated_at": _at(6),
        "started_at": _at(1),
        "finished_at": _at(6),
        **(prepared if state == "ready" else {}),
        **values,
    }


def _run(id: str, job: str, **values: Any) -> dict[str, Any]:
    return {
        "id": id,
        "job_id": job,
        "trainer": "vit",
        "params": {"epochs": 3},
        "fingerprint": FINGERPRINT,
        "state": "succeeded",
        "stop_requested": False,
        "spent_seconds": 81.5,
        "mirror_seq": 4,
        "attempt": 1,
        "lost_leases": 0,
        "refusals": 0,
        "enqueue_count": 1,
        "event_seq": 0,
        "created_at": _at(10),
        "updated_at": _at(20),
        "started_at": _at(11),
        "finished_at": _at(20),
        **values,
    }


def _version(number: int, job: str, run: str, **values: Any) -> dict[str, Any]:
    links = {"self": f"/models/{job}/v{number}/artifacts/best.pt"}
    artifact = {"name": "best.pt", "bytes": 5, "sha256": "3" * 64, "media_type": "application/octet-stream"}
    return {
        "id": f"version_{run.removeprefix('run_')}",
        "job_id": job,
        "number": number,
        "run_id": run,
        "attempt": 1,
        "trainer": "vit",
        "params": {"epochs": 3},
        "metrics": {"test": {"accuracy": 0.1 + number}},
        "fingerprint": FINGERPRINT,
        "weights_name": "best.pt",
        "artifacts": [artifact | {"links": links}],
        "created_at": _at(20 + number),
        **values,
    }


def _artifact(run: str) -> dict[str, Any]:
    return {
        "version_id": f"version_{run.removeprefix('run_')}",
        "name": "best.pt",
        "key": f"runs/{run}/1/artifacts/best.pt",
        "bytes": 5,
        "sha256": "3" * 64,
        "media_type": "application/octet-stream",
    }


def _alias(job: str, alias: str, *moves: tuple[str, int, int, int]) -> dict[str, list[dict[str, Any]]]:
    """`moves`: action, number, position before and after."""
    last = moves[-1]
    gone = last[0] == "remove"
    row = {
        "job_id": job,
        "alias": alias,
        "number": 0 if gone else last[1],
        "position": last[3],
        "moves": len(moves),
        "updated_at": _at(40 + len(moves)),
        "mirrored_number": None if gone else last[1],
    }
    names = ("action", "number", "position_before", "position_after")
    history = [
        {
            "job_id": job,
            "alias": alias,
            "position": position,
            "at": _at(40 + position),
            **dict(zip(names, move, strict=True)),
        }
        for position, move in enumerate(moves, start=1)
    ]
    return {"aliases": [row], "alias_moves": history}


_DELETED: dict[str, Any] = {"deleted_at": _at(30)}
_ALIASES = [
    _alias(TRAINED, "production", ("set", 1, 0, 1), ("set", 3, 1, 2), ("rollback", 1, 2, 1), ("set", 2, 1, 4)),
    _alias(TRAINED, "archiv_2025-q4", ("set", 1, 0, 1), ("remove", 1, 1, 0), ("set", 3, 0, 3)),
    _alias(TRAINED, "candidate", ("set", 2, 0, 1), ("remove", 2, 1, 0)),
    _alias(LEFT, "staging", ("set", 1, 0, 1), ("remove", 1, 1, 0)),
]

ROWS: dict[str, list[dict[str, Any]]] = {
    "jobs": [
        _job(
            ERASED,
            "deleted",
            name="",
            source_name="",
            options={},
            fingerprint=FINGERPRINT,
            kind="classification",
            last_version=1,
            purged_at=_at(31),
            erased_at=_at(32),
            mlflow_deleted_at=_at(33),
            **_DELETED,
        ),
        _job(LEFT, "deleted", last_version=1, source_key=f"uploads/{LEFT}/source.zip", kind="detection", **_DELETED),
        _job(TRAINED, last_version=VERSIONS, name="Räkor & krabbor.zip"),
        _job(LONG_NAMED, "rejected", name=LONG_NAME[:200], source_name="é" * 400, kind="detection"),
        _job(UNNAMED, "failed", name="浣熊", huggingface={"repository": "org/scenes", "commit": "9" * 40}),
        *(_job(each, name="Harbour (2)") for each in NAMESAKES),
    ],
    "runs": [
        _run(ERASED_RUN, ERASED, params={}, version=1, purged_at=_at(31), mlflow_run_id="b", **_DELETED),
        _run(
            LEFT_RUN,
            LEFT,
            version=1,
            log_key=f"runs/{LEFT_RUN}/1/train.log",
            mlflow_refused="413",
            mlflow_run_id="c" * 32,
            **_DELETED,
        ),
        *(
            _run(run, TRAINED, version=number, mlflow_run_id=f"{number:032x}")
            for number, run in enumerate(TRAINED_RUNS, start=1)
        ),
    ],
    "versions": [
        _version(1, ERASED, ERASED_RUN, params={}, metrics={}, mlflow_version="1", **_DELETED),
        _version(1, LEFT, LEFT_RUN, **_DELETED),
        _version(1, TRAINED, TRAINED_RUNS[0], mlflow_version="1"),
        _version(2, TRAINED, TRAINED_RUNS[1], mlflow_refused="A value is too long."),
        _version(3, TRAINED, TRAINED_RUNS[2]),
    ],
    "artifacts": [_artifact(run) for run in (LEFT_RUN, *TRAINED_RUNS)],
    **{table: [row for alias in _ALIASES for row in alias[table]] for table in ("aliases", "alias_moves")},
    "uploads": [
        {
            "id": "upload_2",
            "state": "open",
            "name": LONG_NAME[:200],
            "source_name": "räkor.zip",
            "options": OPTIONS,
            "length_bytes": 9_000_000_000,
            "received_bytes": 0,
            "client_metadata": "filename csOka29yLnppcA==,is_confidential",
            "job_id": job_id(98),
            "expires_at": 4.0e9,
            "created_at": _at(40),
        }
    ],
    "totals": [
        {"name": "darkroom_jobs_ended_total", "labels": '{"state": "ready"}', "value": 12.0},
        {"name": "darkroom_runs_ended_total", "labels": '{"state": "succeeded"}', "value": 7.5},
    ],
}
