"""Versions with an export that serving may answer with, written as the operations write them."""

from pathlib import Path
from typing import Any

from core import clock
from core.db.tables import ExportRow, OperationRow, VersionRow
from core.domain.ids import new_id
from core.domain.keys import export_key
from core.services.context import Platform
from core.services.projects.lookup import give_kind, join_project, next_version


def publish(
    platform: Platform, project: str, file: Path, *, kind: str = "detection", passed: bool = True, **export: Any
) -> str:
    """A new version of the project whose ONNX is `file`. Returns its name, such as `raccoons/v1`."""
    operation_id = new_id("operation", clock.now_ms())
    stored = platform.store.put(export_key(operation_id, 1, file.name), file)
    with platform.db.transaction() as session:
        row = join_project(session, project)
        give_kind(session, row.id, kind)
        number = next_version(session, row.id)
        session.add(
            OperationRow(
                id=operation_id, kind="export", params={}, state="succeeded", attempt=1, project_id=row.id,
                lost_leases=0, refusals=0, enqueue_count=0, event_seq=1,
                created_at=clock.now(), updated_at=clock.now(),
            )
        )  # fmt: skip
        session.flush()
        version = VersionRow(
            id=new_id("version", clock.now_ms()), project_id=row.id, number=number, origin="imported", attempt=1,
            trainer="onnx", params={}, metrics={}, weights_name=file.name, created_at=clock.now(),
        )  # fmt: skip
        session.add(version)
        session.flush()
        values = {"format": "onnx", "precision": "fp32", "options": {}, "certificate": {}, "passed": passed} | export
        session.add(
            ExportRow(
                id=new_id("export", clock.now_ms()), version_id=version.id, project_id=row.id,
                operation_id=operation_id, file_name=file.name, key=stored.key, bytes=stored.bytes,
                sha256=stored.sha256, media_type="application/octet-stream", created_at=clock.now(), **values,
            )
        )  # fmt: skip
    return f"{project}/v{number}"
