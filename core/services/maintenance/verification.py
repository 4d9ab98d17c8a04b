"""Whether every object that a row names is in the store with its bytes: of use after a backup was restored."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, literal, null, select

from core.db import Database
from core.db.tables import (
    ArtifactRow,
    BatchPredictionArtifactRow,
    BatchPredictionRow,
    BundleRow,
    DatasetExportRow,
    DatasetRow,
    EvaluationArtifactRow,
    EvaluationRow,
    ExportRow,
    JobRow,
    RunLogRow,
    RunRow,
    TestSetRow,
    UploadPartRow,
    VersionRow,
)
from core.services.jobs.lifecycle import LIVE
from core.storage import ObjectMissing, ObjectStore

_AT_ONCE = 1000

MISSING, OTHER_SIZE, OTHER_BYTES = "missing", "other size", "other bytes"


class NamedObject(NamedTuple):
    """What a row says of an object; None for what it does not know. `sha256` is hexadecimal."""

    table: str
    row_id: str
    key: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """`what`: MISSING, OTHER_SIZE or OTHER_BYTES."""

    named: NamedObject
    what: str


def named_objects(db: Database) -> Iterator[NamedObject]:
    """Every object that a row which was not deleted names, table by table, in pages by key."""
    for statement, key in _statements():
        after = ""
        while True:
            page = statement.where(key > after).order_by(key).limit(_AT_ONCE)
            with db.reading() as session:
                found = [NamedObject(*row) for row in session.execute(page).all()]
            yield from found
            if len(found) < _AT_ONCE:
                break
            after = found[-1].key


def fault_of(store: ObjectStore, named: NamedObject, *, quick: bool) -> Fault | None:
    """Reads the whole object; `quick` only what the store says of it. Raises Unavailable."""
    known = store.head(named.key)
    if known is None:
        return Fault(named, MISSING)
    if named.bytes not in (None, known.bytes):
        return Fault(named, OTHER_SIZE)
    if named.sha256 is None:
        return None
    sha256 = known.sha256 if quick else _sha256(store, named.key)
    if sha256 is None:
        return Fault(named, MISSING)
    return Fault(named, OTHER_BYTES) if sha256 not in ("", named.sha256) else None


def _sha256(store: ObjectStore, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        for chunk in store.open(key):
            digest.update(chunk)
    except ObjectMissing:
        return None
    return digest.hexdigest()


def _statements() -> Iterator[tuple[Select[*tuple[Any, ...]], Any]]:
    living = JobRow.deleted_at.is_(None)
    yield _of(JobRow.id, JobRow.source_key, JobRow.source_bytes, JobRow.source_sha256, living)
    yield _of(JobRow.id, JobRow.metadata_key, None, JobRow.metadata_sha256, living)
    live = DatasetRow.state == LIVE
    yield _of(DatasetRow.fingerprint, DatasetRow.key, DatasetRow.bytes, DatasetRow.sha256, live)
    yield _of(DatasetRow.fingerprint, DatasetRow.index_key, DatasetRow.index_bytes, None, live)
    checkpoint = (RunRow.checkpoint_key, RunRow.checkpoint_bytes, RunRow.checkpoint_sha256)
    yield _of(RunRow.id, *checkpoint, RunRow.deleted_at.is_(None))
    logs = select(RunRow.id).where(RunRow.deleted_at.is_(None))
    yield _of(RunLogRow.run_id, RunLogRow.key, None, None, RunLogRow.run_id.in_(logs))
    yield _artifacts(ArtifactRow, ArtifactRow.version_id, VersionRow.id, VersionRow.deleted_at)
    yield _artifacts(
        EvaluationArtifactRow, EvaluationArtifactRow.evaluation_id, EvaluationRow.id, EvaluationRow.deleted_at
    )
    of_batch = (BatchPredictionArtifactRow.operation_id, BatchPredictionRow.operation_id)
    yield _artifacts(BatchPredictionArtifactRow, *of_batch, BatchPredictionRow.deleted_at)
    for table in (ExportRow, DatasetExportRow):
        yield _of(table.id, table.key, table.bytes, table.sha256, table.deleted_at.is_(None))
    bundle = (BundleRow.version_id, BundleRow.key, BundleRow.bytes, BundleRow.sha256)
    yield _of(*bundle, BundleRow.deleted_at.is_(None))
    yield _of(TestSetRow.project_id, TestSetRow.key, TestSetRow.bytes, TestSetRow.sha256)
    yield _of(UploadPartRow.upload_id, UploadPartRow.key, UploadPartRow.bytes, UploadPartRow.sha256)


def _of(
    row_id: Any, key: Any, size: Any, sha256: Any, *where: ColumnElement[bool]
) -> tuple[Select[*tuple[Any, ...]], Any]:
    columns = (null() if column is None else column for column in (size, sha256))
    table = literal(key.class_.__tablename__)
    return select(table, row_id, key, *columns).where(key.is_not(None), *where), key


def _artifacts(table: Any, owner: Any, owner_id: Any, deleted_at: Any) -> tuple[Select[*tuple[Any, ...]], Any]:
    living = select(owner_id).where(deleted_at.is_(None))
    return _of(owner, table.key, table.bytes, table.sha256, owner.in_(living))
