"""A database of schema 0008 with the objects that its rows name, for the answers of every address of the API.

Ids, times and bytes are always the same.
"""

import hashlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.db import open_database
from core.db.migrate import upgrade
from core.domain.keys import artifact_key, checkpoint_key, dataset_key, log_key, metadata_key, repaired_key, upload_key
from core.settings import Settings
from core.storage import open_store
from tests.builders import stored_0008 as stored
from tests.builders.database_0006 import OPTIONS, START, insert

Row = dict[str, Any]
FINDING_CODES = ("box-outside", "box-tiny", "image-unreadable")
REPAIR_CODES = ("repair-box-clipped", "repair-image-left-out")


def fill(url: str, settings: Settings) -> None:
    """Make the database, insert its rows, store its objects."""
    upgrade(url, "0008")
    database = open_database(url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        for table, rows in _rows().items():
            insert(connection, table, *rows)
    database.close()
    store = open_store(settings)
    with tempfile.NamedTemporaryFile() as file:
        for key, content in stored.objects().items():
            Path(file.name).write_bytes(content)
            store.put(key, Path(file.name))


def _at(minutes: int) -> Any:
    return START + timedelta(minutes=minutes)


def _rows() -> dict[str, list[Row]]:
    return {
        "datasets": [_dataset(stored.FINGERPRINT), _dataset(stored.REPAIRED)],
        "jobs": _jobs(),
        "findings": [
            *(_finding(stored.REJECTED, number, code) for number, code in enumerate(FINDING_CODES, 1)),
            _finding(stored.READY, 1, "box-tiny"),
            *(_finding(stored.REPAIR, number, code) for number, code in enumerate(REPAIR_CODES, 1)),
        ],
        "runs": _runs(),
        "run_logs": [
            _log(stored.FIRST),
            _log(stored.SECOND),
            _log(stored.RUNNING) | {"key": None, "tail": stored.LOG[-50:], "total_bytes": 90},
        ],
        "versions": [
            _version(1, stored.READY, stored.FIRST),
            _version(2, stored.READY, stored.SECOND),
            _deleted_version(),
        ],
        "artifacts": [
            {"version_id": _version_id(run), "key": artifact_key(run, 1, row["name"]), **row}
            for run in (stored.FIRST, stored.SECOND)
            for row in _artifacts(run)
        ],
        "aliases": [_alias("production", 2, position=2), _alias("staging", 0, position=0)],
        "alias_moves": [
            _move("production", 1, "set", 1, before=0, after=1),
            _move("production", 2, "set", 2, before=1, after=2),
            _move("staging", 1, "set", 1, before=0, after=1),
            _move("staging", 2, "remove", 1, before=1, after=0),
        ],
        "uploads": [_upload()],
        "events": [
            _event(stored.READY, 1, state="received", name="raccoons", attempt=0, last_version=0),
            _event(stored.READY, 2, state="ready", images=12, last_version=2),
            _event(stored.FIRST, 1, state="queued", attempt=0, stop_requested=False),
            _event(stored.FIRST, 2, state="succeeded", version=1, attempt=1),
        ],
    }


def _dataset(fingerprint: str) -> Row:
    key = dataset_key(2, fingerprint)
    size = len(stored.objects()[key])
    return {
        **{"fingerprint": fingerprint, "layout_version": 2, "state": "live", "key": key, "bytes": size},
        **{"sha256": stored.sha256_of(key), "created_at": _at(5)},
    }


def _jobs() -> list[Row]:
    counts = {code: {"severity": "error", "count": 1} for code in FINDING_CODES}
    problem = {
        "type": "/problems/dataset-rejected",
        "slug": "dataset-rejected",
        "title": "The dataset has errors",
        "detail": "3 errors.",
    }
    failure = {
        "type": "/problems/preparation-failed",
        "slug": "preparation-failed",
        "title": "The preparation failed",
        "detail": "It broke.",
    }
    return [
        _job(
            stored.READY,
            "ready",
            last_version=2,
            event_seq=2,
            findings={"box-tiny": {"severity": "note", "count": 1}},
            **_prepared(stored.READY, stored.FINGERPRINT),
        ),
        _job(stored.OTHER, "ready", findings={}, **_prepared(stored.OTHER, stored.FINGERPRINT)),
        _job(stored.REJECTED, "rejected", findings=counts, problem=problem, kind="detection", format="voc"),
        _job(
            stored.REPAIR,
            "ready",
            repair_of=stored.REJECTED,
            name="raccoons (repaired)",
            findings={},
            **_prepared(stored.REPAIR, stored.REPAIRED),
        )
        | {
            "source_key": repaired_key(stored.REPAIR, 1),
            "source_sha256": stored.sha256_of(repaired_key(stored.REPAIR, 1)),
            "source_bytes": 19,
        },
        _job(stored.FAILED, "failed", problem=failure),
        _job(stored.RECEIVED, "received"),
        _job(
            stored.DELETED,
            "deleted",
            last_version=1,
            deleted_at=_at(7),
            purged_at=_at(8),
            erased_at=_at(9),
            mlflow_deleted_at=_at(9),
        )
        | {"name": "", "source_name": "", "options": {}, "source_key": None},
    ]


def _job(id: str, state: str, **values: Any) -> Row:
    key, started = upload_key(id), state != "received"
    source = stored.objects().get(key, b"")
    return {
        **{"id": id, "name": "raccoons", "state": state, "options": OPTIONS, "source_name": "raccoons.zip"},
        **{"source_bytes": len(source), "source_sha256": hashlib.sha256(source).hexdigest(), "source_key": key},
        **{"last_version": 0, "attempt": int(started), "worker": "host:17" if started else None},
        **{"lost_leases": 0, "refusals": 0, "enqueue_count": 1, "event_seq": 1},
        **{"created_at": _at(0), "updated_at": _at(6)},
        **{"started_at": _at(1) if started else None, "finished_at": _at(6) if started else None},
        **values,
    }


def _prepared(job: str, fingerprint: str) -> Row:
    key = metadata_key(job, 1)
    return {
        **{"kind": "detection", "format": "voc", "classes": ["fox", "raccoon"], "images": 12},
        **{"fingerprint": fingerprint, "content_fingerprint": "d" * 64},
        **{"metadata_key": key, "metadata_sha256": stored.sha256_of(key)},
    }


def _finding(job: str, number: int, code: str) -> Row:
    path, severity = f"Annotations/{number}.xml", "note" if code in ("box-tiny", *REPAIR_CODES) else "error"
    return {
        **{"job_id": job, "number": number, "code": code, "severity": severity, "path": path, "line": number},
        **{"detail": f"The object number {number}.", "remedy": "Look at it."},
    }


def _runs() -> list[Row]:
    failure = {
        "type": "/problems/training-failed",
        "slug": "training-failed",
        "title": "The training failed",
        "detail": "It broke.",
    }
    checkpoint = {
        "checkpoint_key": checkpoint_key(stored.FAILED_RUN, 1, 2),
        "checkpoint_epoch": 2,
        "checkpoint_sha256": stored.sha256_of(checkpoint_key(stored.FAILED_RUN, 1, 2)),
        "checkpoint_at": _at(15),
    }
    return [
        _run(stored.FIRST, stored.READY, "succeeded", version=1, event_seq=2, log_key=log_key(stored.FIRST, 1)),
        _run(
            stored.SECOND,
            stored.READY,
            "succeeded",
            version=2,
            log_key=log_key(stored.SECOND, 1),
            notes={"weights": "From scratch."},
        ),
        _run(stored.QUEUED, stored.READY, "queued", attempt=0),
        _run(
            stored.RUNNING,
            stored.READY,
            "running",
            stage="training",
            lease_expires_at=4.0e9,
            progress={"epoch": 2, "epochs": 3},
        ),
        _run(stored.FAILED_RUN, stored.READY, "failed", problem=failure, **checkpoint),
        _run(stored.CANCELLED, stored.READY, "cancelled"),
        _run(stored.OF_DELETED, stored.DELETED, "succeeded", version=1, deleted_at=_at(7)) | {"params": {}},
    ]


def _run(id: str, job: str, state: str, **values: Any) -> Row:
    ended = state in ("succeeded", "failed", "cancelled")
    return {
        **{"id": id, "job_id": job, "trainer": "yolo", "params": {"model": "yolov8n", "epochs": 3}},
        **{"fingerprint": stored.FINGERPRINT, "state": state, "stop_requested": False, "spent_seconds": 81.5},
        **{"mirror_seq": 0, "attempt": 1, "lost_leases": 0, "refusals": 0, "enqueue_count": 0, "event_seq": 1},
        **{"created_at": _at(10), "updated_at": _at(20)},
        **{"started_at": None if state == "queued" else _at(11), "finished_at": _at(20) if ended else None},
        **values,
    }


def _log(run: str) -> Row:
    return {
        **{"run_id": run, "attempt": 1, "key": log_key(run, 1), "tail": b"", "total_bytes": len(stored.LOG)},
        **{"updated_at": _at(20)},
    }


def _version_id(run: str) -> str:
    return f"version_{run.removeprefix('run_')}"


def _version(number: int, job: str, run: str) -> Row:
    path = f"/models/{job}/v{number}/artifacts"
    return {
        "id": _version_id(run),
        "job_id": job,
        "number": number,
        "run_id": run,
        "attempt": 1,
        "trainer": "yolo",
        "params": {"model": "yolov8n", "epochs": 3},
        "metrics": {"test": {"mAP50": 0.5 + number / 10}},
        "fingerprint": stored.FINGERPRINT,
        "weights_name": "best.pt",
        "artifacts": [row | {"links": {"self": f"{path}/{row['name']}"}} for row in _artifacts(run)],
        "created_at": _at(20 + number),
    }


def _deleted_version() -> Row:
    emptied = {"params": {}, "metrics": {}, "artifacts": [], "deleted_at": _at(7)}
    return _version(1, stored.DELETED, stored.OF_DELETED) | emptied


def _artifacts(run: str) -> list[Row]:
    keys = [key for key in stored.objects() if key.startswith(f"runs/{run}/1/artifacts/")]
    return [
        {
            "name": key.rpartition("/")[2],
            "bytes": len(stored.objects()[key]),
            "sha256": stored.sha256_of(key),
            "media_type": "application/octet-stream" if key.endswith(".pt") else "application/json",
        }
        for key in keys
    ]


def _alias(alias: str, number: int, *, position: int) -> Row:
    return {
        **{"job_id": stored.READY, "alias": alias, "number": number, "position": position, "moves": 2},
        **{"updated_at": _at(32)},
    }


def _move(alias: str, position: int, action: str, number: int, *, before: int, after: int) -> Row:
    return {
        **{"job_id": stored.READY, "alias": alias, "position": position, "action": action, "number": number},
        **{"position_before": before, "position_after": after, "at": _at(30 + position)},
    }


def _upload() -> Row:
    return {
        **{"id": stored.UPLOAD, "state": "open", "name": "late", "source_name": "late.zip", "options": OPTIONS},
        **{"length_bytes": 9000, "received_bytes": 0, "job_id": stored.id_of("job", 9), "expires_at": 4.0e9},
        **{"client_metadata": "filename bGF0ZS56aXA=", "created_at": _at(40)},
    }


def _event(subject: str, seq: int, **data: Any) -> Row:
    return {"subject_id": subject, "seq": seq, "type": "state", "data": data, "at": _at(seq)}
