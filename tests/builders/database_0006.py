"""A database of the schema at revision 0006, filled through its own tables, as an installation of that time left it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

START = datetime(2026, 10, 1, 8, 30, tzinfo=UTC)
FINGERPRINT, REPAIRED_FINGERPRINT, IMPORTED_FINGERPRINT = "a" * 64, "b" * 64, "c" * 64
OPTIONS = {"val_fraction": 0.2, "test_fraction": 0.1, "seed": 7, "on_error": "reject", "split": "keep"}
HUB_SET = {"repository": "org/scenes", "revision": "main", "splits": ["train"], "commit": "9" * 40}


def job_id(number: int) -> str:
    return f"job_{number:026d}"


def run_id(number: int) -> str:
    return f"run_{number:026d}"


RECEIVED, PREPARING, READY, REJECTED, FAILED, DELETED, REPAIR, IMPORT, REPAIR_OF_IMPORT = map(job_id, range(1, 10))
QUEUED, RUNNING, CANCELLING, FIRST, SECOND, FAILED_RUN, CANCELLED = map(run_id, range(1, 8))


def fill(connection: sa.Connection) -> None:
    """Insert every row of `ROWS`; the tables are read from the database, not from the code."""
    for name, rows in ROWS.items():
        insert(connection, name, *rows)


def insert(connection: sa.Connection, name: str, *rows: dict[str, Any]) -> None:
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    for row in rows:
        connection.execute(sa.insert(table).values(_storable(row, connection)))


def _storable(row: dict[str, Any], connection: sa.Connection) -> dict[str, Any]:
    """SQLite has times without a zone."""
    if connection.dialect.name != "sqlite":
        return row
    return {name: value.replace(tzinfo=None) if isinstance(value, datetime) else value for name, value in row.items()}


def _at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def _text(minutes: int) -> str:
    return _at(minutes).isoformat().replace("+00:00", "Z")


def _dataset(fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "layout_version": 2,
        "state": "live",
        "key": f"datasets/2/{fingerprint}.tar",
        "bytes": 3_000_000_000,
        "sha256": "1" * 64,
        "created_at": _at(5),
    }


def _job(id: str, state: str, **values: Any) -> dict[str, Any]:
    started = state != "received"
    ended = state in ("ready", "rejected", "failed", "deleted")
    return {
        "id": id,
        "name": f"set {id[-1]}",
        "state": state,
        "options": OPTIONS,
        "source_name": "scenes.zip",
        "source_bytes": 41_234_567,
        "source_sha256": "0" * 64,
        "source_key": f"uploads/{id}/source.zip",
        "last_version": 0,
        "attempt": int(started),
        "worker": "host:17" if started else None,
        "lost_leases": 0,
        "refusals": 0,
        "rung_at": 1790843400.25,
        "rings": 1,
        "event_seq": 1,
        "created_at": _at(0),
        "updated_at": _at(6),
        "started_at": _at(1) if started else None,
        "finished_at": _at(6) if ended else None,
        **values,
    }


def _prepared(fingerprint: str, **values: Any) -> dict[str, Any]:
    return {
        "kind": "detection",
        "format": "voc",
        "classes": ["ball", "cube"],
        "images": 12,
        "fingerprint": fingerprint,
        "content_fingerprint": "d" * 64,
        "metadata_sha256": "2" * 64,
        **values,
    }


def _finding(job: str, number: int, code: str, severity: str) -> dict[str, Any]:
    path, detail = f"Annotations/p{number:02d}.xml", f"The object number {number}."
    return {
        "job_id": job,
        "number": number,
        "code": code,
        "severity": severity,
        "path": path,
        "line": 12,
        "detail": detail,
        "remedy": "Look at it.",
    }


def _run(id: str, state: str, **values: Any) -> dict[str, Any]:
    ended = state in ("succeeded", "failed", "cancelled")
    return {
        "id": id,
        "job_id": READY,
        "trainer": "yolo",
        "params": {"model": "yolo11n.pt", "epochs": 3},
        "fingerprint": FINGERPRINT,
        "state": state,
        "stop_requested": False,
        "spent_seconds": 81.5,
        "mirror_seq": 1,
        "attempt": 1,
        "lost_leases": 0,
        "refusals": 0,
        "rung_at": None,
        "rings": 0,
        "event_seq": 1,
        "created_at": _at(10),
        "updated_at": _at(20),
        "started_at": _at(11),
        "finished_at": _at(20) if ended else None,
        **values,
    }


def _version(number: int, run: str) -> dict[str, Any]:
    return {
        "id": f"version_{number:026d}",
        "job_id": READY,
        "number": number,
        "run_id": run,
        "attempt": 1,
        "trainer": "yolo",
        "params": {"model": "yolo11n.pt", "epochs": 3},
        "metrics": {"test": {"mAP50": 0.5 + number / 10}},
        "fingerprint": FINGERPRINT,
        "weights_name": "best.pt",
        "created_at": _at(20 + number),
        "mlflow_version": str(number),
    }


def _artifact(number: int, run: str, name: str) -> dict[str, Any]:
    return {
        "version_id": f"version_{number:026d}",
        "name": name,
        "key": f"runs/{run}/1/artifacts/{name}",
        "bytes": 5_400_000,
        "sha256": "3" * 64,
        "media_type": "application/octet-stream",
    }


def _move(alias: str, position: int, action: str, number: int, *, stands_on: int, came_from: int) -> dict[str, Any]:
    return {
        "job_id": READY,
        "alias": alias,
        "position": position,
        "action": action,
        "number": number,
        "stands_on": stands_on,
        "came_from": came_from,
        "at": _at(30 + position),
    }


def _event(subject: str, seq: int, type: str, **data: Any) -> dict[str, Any]:
    return {"subject_id": subject, "seq": seq, "type": type, "data": data, "at": _at(seq)}


_REPAIR_COUNTS = {
    "box-whole-picture": {"severity": "note", "count": 1},
    "repair-box-clipped": {"severity": "note", "count": 4},
    "repair-picture-left-out": {"severity": "note", "count": 2},
    "repair-picture-renamed": {"severity": "note", "count": 1},
    "repair-size-mended": {"severity": "note", "count": 1},
}
_ARCHIVE_COUNTS = {
    "archive-checksum": {"severity": "error", "count": 1},
    "archive-size-lies": {"severity": "error", "count": 2},
}
_ARCHIVE_PROBLEM = {
    "type": "/problems/archive-refused",
    "slug": "archive-refused",
    "title": "The archive is broken or unsafe",
    "detail": "An entry is not as large as it says.",
    "reasons": {"archive-checksum": 1, "archive-size-lies": 2},
}

ROWS: dict[str, list[dict[str, Any]]] = {
    "datasets": [_dataset(FINGERPRINT), _dataset(REPAIRED_FINGERPRINT), _dataset(IMPORTED_FINGERPRINT)],
    "jobs": [
        _job(RECEIVED, "received"),
        _job(PREPARING, "preparing", stage="checking", progress={"done": 3, "total": 12}, lease_expires_at=4.0e9),
        _job(
            READY,
            "ready",
            last_version=2,
            findings={"box-whole-picture": {"severity": "note", "count": 1}},
            **_prepared(FINGERPRINT, metadata_key=f"jobs/{READY}/1/dataset_metadata.json"),
        ),
        _job(
            REJECTED,
            "rejected",
            event_seq=2,
            problem=_ARCHIVE_PROBLEM,
            findings=_ARCHIVE_COUNTS,
        ),
        _job(FAILED, "failed", problem={"slug": "preparation-failed", "detail": "The disk broke."}, lost_leases=3),
        _job(DELETED, "deleted", deleted_at=_at(7), purged_at=_at(8), source_key=None),
        _job(
            REPAIR,
            "ready",
            name="set 4 (repaired)",
            options=OPTIONS | {"repair_of": REJECTED},
            source_key=f"uploads/{REPAIR}/1/repaired.zip",
            event_seq=4,
            findings=_REPAIR_COUNTS,
            **_prepared(REPAIRED_FINGERPRINT, metadata_key=f"jobs/{REPAIR}/1/dataset_metadata.json"),
        ),
        _job(
            IMPORT,
            "ready",
            options=OPTIONS | {"huggingface": HUB_SET | {"pictures": 24, "left_out": 1}},
            source_key=f"uploads/{IMPORT}/1/imported.zip",
            **_prepared(IMPORTED_FINGERPRINT, metadata_key=f"jobs/{IMPORT}/1/dataset_metadata.json"),
        ),
        _job(
            REPAIR_OF_IMPORT,
            "received",
            options=OPTIONS | {"huggingface": HUB_SET | {"pictures": 24, "left_out": 1}, "repair_of": IMPORT},
            source_key=None,
        ),
    ],
    "findings": [
        _finding(READY, 1, "box-whole-picture", "note"),
        _finding(REJECTED, 1, "archive-size-lies", "error"),
        _finding(REJECTED, 2, "archive-size-lies", "error"),
        _finding(REJECTED, 3, "archive-checksum", "error"),
        _finding(REPAIR, 1, "box-whole-picture", "note"),
        *(_finding(REPAIR, number, "repair-box-clipped", "note") for number in range(2, 6)),
        _finding(REPAIR, 6, "repair-picture-left-out", "note"),
        _finding(REPAIR, 7, "repair-picture-left-out", "note"),
        _finding(REPAIR, 8, "repair-picture-renamed", "note"),
        _finding(REPAIR, 9, "repair-size-mended", "note"),
    ],
    "uploads": [
        {
            "id": "upload_1",
            "state": "open",
            "name": "late",
            "source_name": "late.zip",
            "options": OPTIONS,
            "length_bytes": 9_000_000_000,
            "received_bytes": 5,
            "job_id": job_id(99),
            "expires_at": 4.0e9,
            "created_at": _at(40),
        }
    ],
    "upload_parts": [
        {"upload_id": "upload_1", "start": 0, "bytes": 5, "sha256": "4" * 64, "key": "uploads/upload_1/parts/0"}
    ],
    "runs": [
        _run(QUEUED, "queued", attempt=0, started_at=None, rung_at=1790843400.25, rings=2),
        _run(
            RUNNING,
            "running",
            stage="training",
            progress={"epoch": 2, "epochs": 3},
            lease_expires_at=4.0e9,
            worker="host:18",
            checkpoint_key=f"runs/{RUNNING}/1/checkpoints/000002.tar",
            checkpoint_epoch=2,
            checkpoint_sha256="5" * 64,
            checkpoint_at=_at(15),
        ),
        _run(CANCELLING, "cancelling", lease_expires_at=4.0e9, worker="host:19"),
        _run(FIRST, "succeeded", version=1, log_key=f"runs/{FIRST}/1/train.log", event_seq=3, mirrored_at=_at(21)),
        _run(SECOND, "succeeded", version=2, notes={"weights": "yolo11n.pt of the folder"}, stop_requested=True),
        _run(FAILED_RUN, "failed", problem={"slug": "out-of-memory", "batch": 64}),
        _run(CANCELLED, "cancelled"),
    ],
    "run_logs": [
        {
            "run_id": FIRST,
            "attempt": 1,
            "key": f"runs/{FIRST}/1/train.log",
            "tail": b"",
            "total_bytes": 900,
            "updated_at": _at(20),
        },
        {"run_id": RUNNING, "attempt": 1, "tail": b"epoch 2\n\xff", "total_bytes": 90, "updated_at": _at(19)},
    ],
    "versions": [_version(1, FIRST), _version(2, SECOND)],
    "artifacts": [
        _artifact(number, run, name)
        for number, run in ((1, FIRST), (2, SECOND))
        for name in ("best.pt", "metrics.json", "model.json")
    ],
    "aliases": [
        {
            "job_id": READY,
            "alias": "production",
            "number": 2,
            "position": 4,
            "moves": 4,
            "updated_at": _at(34),
            "mirrored_number": 2,
        },
        {"job_id": READY, "alias": "staging", "number": 0, "position": 0, "moves": 2, "updated_at": _at(32)},
    ],
    "alias_moves": [
        _move("production", 1, "set", 1, stands_on=1, came_from=0),
        _move("production", 2, "set", 2, stands_on=2, came_from=1),
        _move("production", 3, "rollback", 1, stands_on=1, came_from=2),
        _move("production", 4, "set", 2, stands_on=4, came_from=1),
        _move("staging", 1, "set", 2, stands_on=1, came_from=0),
        _move("staging", 2, "remove", 2, stands_on=0, came_from=1),
    ],
    "events": [
        _event(REJECTED, 1, "state", name="set 4", state="preparing", attempt=1, last_version=0, started_at=_text(1)),
        _event(
            REJECTED,
            2,
            "state",
            state="rejected",
            finished_at=_text(6),
            problem=_ARCHIVE_PROBLEM,
            findings=_ARCHIVE_COUNTS,
        ),
        _event(REPAIR, 1, "state", name="set 4 (repaired)", state="received", attempt=0, last_version=0),
        _event(REPAIR, 2, "state", state="preparing", attempt=1, stage="fetching", started_at=_text(1)),
        _event(REPAIR, 3, "progress", stage="checking", progress={"done": 3, "total": 12}),
        _event(
            REPAIR,
            4,
            "state",
            state="ready",
            stage=None,
            progress=None,
            finished_at=_text(6),
            kind="detection",
            format="voc",
            classes=["ball", "cube"],
            images=12,
            findings=_REPAIR_COUNTS,
            fingerprint=REPAIRED_FINGERPRINT,
            content_fingerprint="d" * 64,
        ),
        _event(FIRST, 1, "state", state="queued", attempt=0, stop_requested=False),
        _event(FIRST, 2, "state", state="running", attempt=1, stage="fetching", started_at=_text(11)),
        _event(FIRST, 3, "state", state="succeeded", stage=None, version=1, finished_at=_text(20)),
    ],
    "idempotency_keys": [
        {
            "method": "POST",
            "path": "/upload-dataset",
            "key": "k1",
            "digest": "6" * 64,
            "status": 202,
            "answer": {"job_id": RECEIVED},
            "expires_at": 4.0e9,
        }
    ],
    "locks": [{"name": "sweep", "holder": "host:20", "expires_at": 1790843400.25}],
    "workers": [{"name": "host:17", "role": "prepare", "seen_at": 1790843400.25}],
}
