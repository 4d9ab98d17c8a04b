"""Batches of predictions: an export on many images. A request queues one, its operation publishes the files.

The id of a batch is that of its operation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import (
    BatchPredictionArtifactRow,
    BatchPredictionRow,
    ExportRow,
    JobRow,
    OperationRow,
    ProjectRow,
    VersionRow,
)
from core.domain.errors import BatchNotFound, BatchNotReady, Gone, OperationFailed, RequestInvalid
from core.domain.model_names import version_name
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.models.batch_sources import BatchImages, Source, source_in
from core.services.models.names import model_in
from core.services.models.served import served_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.operations.commands import Requested, add_operation, cancel_in, enqueue_operation, operation_in
from core.services.operations.kinds import PREDICT_BATCH
from core.services.operations.lifecycle import complete_in
from core.services.paging import Page, page_of
from core.services.projects.lookup import project_in
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """None: the thresholds of the export. `tile`: px, of detectors. `labelled`: write the labelled ZIP, too."""

    confidence: float | None = None
    iou: float | None = None
    top: int = 5
    tile: int | None = None
    overlap: float = 0.2
    labelled: bool = True


class Batch(NamedTuple):
    """A batch with its operation and the names of what it is about, as they are now."""

    row: BatchPredictionRow
    operation: OperationRow
    project: str
    number: int
    version_job_id: str | None  # of the version; None for an imported one


def request_batch(
    platform: Platform,
    model: str,
    images: BatchImages,
    options: BatchOptions,
    *,
    operation_id: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> Requested:
    """Queue a batch. What the request sent is stored below the keys of `operation_id` before.

    Raises what `served_in` and `source_in` raise, and RequestInvalid for tiles of a classifier.
    """
    with platform.db.transaction() as session:
        served = served_in(session, model, precision=platform.settings.serving_precision)
        source = source_in(session, images)
        project = _lock(session, served.project_id, source.job_id)
        if options.tile is not None and project.kind != "detection":
            message = "tiles are for detectors, and this model is a classifier"
            raise RequestInvalid(f"tile: {message}.", errors=[{"field": "tile", "message": message}])
        named = {name: getattr(served, name) for name in ("name", "version_id", "export_id", "sha256", "project_id")}
        params = {"model": model, **named, "source": source.as_json(), "options": asdict(options)}
        if noun := _deleted(session, params):
            raise Gone(f"The {noun} was deleted.", deleted=noun)
        operation, is_new = add_operation(
            session,
            PREDICT_BATCH,
            params,
            project_id=served.project_id,
            job_id=source.job_id,
            operation_id=operation_id,
        )
        session.add(
            BatchPredictionRow(
                operation_id=operation.id,
                version_id=served.version_id,
                export_id=served.export_id,
                project_id=served.project_id,
                job_id=source.job_id,
                created_at=clock.now(),
            )
        )
        requested = Requested(operation, project.slug, is_new)
        on_commit(session, requested)
    enqueue_operation(platform, requested.operation.id)
    return requested


class BatchInputs(NamedTuple):
    """`source_key`: of the ZIP of a job, where that is predicted."""

    export: ExportRow
    source: Source
    source_key: str | None


def batch_inputs(db: Database, operation: OperationRow) -> BatchInputs:
    """Raises OperationFailed where the batch, the version, the export or the dataset was deleted."""
    params = operation.params
    with db.reading() as session:
        _raise_if_deleted(session, operation.id, params)
        source = Source(**params["source"])
        job = session.get(JobRow, source.job_id) if source.job_id else None
        export = session.get_one(ExportRow, params["export_id"])
        return BatchInputs(export, source, job.source_key if job else None)


def publish_batch(
    db: Database, claim: Claim, *, summary: dict[str, Any], artifacts: Sequence[PublishedArtifact]
) -> None:
    """Publish in one transaction: the summary, the files, the operation succeeded.

    Raises OperationFailed where what it is about was deleted meanwhile, ClaimLost.
    """
    with db.transaction() as session:
        operation = session.get(OperationRow, claim.id)
        if operation is None:
            raise ClaimLost
        params = operation.params
        _lock(session, params["project_id"], params["source"]["job_id"])
        _raise_if_deleted(session, claim.id, params)
        result = {"name": params["name"], "images": summary["images"], "failed": summary["failed"]}
        complete_in(session, claim, result)
        mine = BatchPredictionRow.operation_id == claim.id
        session.execute(update(BatchPredictionRow).where(mine).values(summary=summary))
        session.add_all(BatchPredictionArtifactRow(operation_id=claim.id, **asdict(each)) for each in artifacts)


def list_batches(
    db: Database,
    *,
    cursor: str | None,
    limit: int,
    project: str | None = None,
    model: str | None = None,
    job_id: str | None = None,
) -> Page[Batch]:
    """Newest first. `project` is that of the version, whose `v3` is meant. Raises what finding any of them raises."""
    statement = select(BatchPredictionRow).where(BatchPredictionRow.deleted_at.is_(None))
    if job_id:
        statement = statement.where(BatchPredictionRow.job_id == job_id)
    with db.reading() as session:
        owner = project_in(session, project).id if project else None
        if owner:
            statement = statement.where(BatchPredictionRow.project_id == owner)
        if model:
            version = model_in(session, model, project_id=owner)
            statement = statement.where(BatchPredictionRow.version_id == version.id)
        key = BatchPredictionRow.operation_id
        page = page_of(session, statement, key, cursor=cursor, limit=limit, newest_first=True)
        return Page(_described(session, page.items), page.next_cursor)


def get_batch(db: Database, operation_id: str) -> Batch:
    """Raises BatchNotFound, Gone."""
    with db.reading() as session:
        return _described(session, [_batch(session, operation_id)])[0]


def artifacts_of_batch(db: Database, operation_id: str) -> list[BatchPredictionArtifactRow]:
    """Sorted by name."""
    mine = BatchPredictionArtifactRow.operation_id == operation_id
    statement = select(BatchPredictionArtifactRow).where(mine).order_by(BatchPredictionArtifactRow.name)
    with db.reading() as session:
        return list(session.execute(statement).scalars())


def find_batch_artifact(db: Database, operation_id: str, name: str) -> BatchPredictionArtifactRow | None:
    """None: the batch has no such file. Raises BatchNotFound, Gone, BatchNotReady."""
    with db.reading() as session:
        _batch(session, operation_id)
        state = operation_in(session, operation_id).state
        if state != RunState.SUCCEEDED:
            detail = f"The batch is {state}: its results can be downloaded when it has succeeded."
            raise BatchNotReady(detail, operation_id=operation_id, state=state)
        return session.get(BatchPredictionArtifactRow, (operation_id, name))


def delete_batch(db: Database, operation_id: str) -> datetime:
    """Cancel it where it has not ended, mark it deleted, and return when; retention deletes its objects.

    Raises BatchNotFound, Gone.
    """
    at = clock.now()
    with db.transaction() as session:
        _batch(session, operation_id)
        operation_in(session, operation_id, lock=True)
        cancel_in(session, operation_id)
        living = (BatchPredictionRow.operation_id == operation_id, BatchPredictionRow.deleted_at.is_(None))
        session.execute(update(BatchPredictionRow).where(*living).values(deleted_at=at))
    return at


def _lock(session: Session, project_id: str, job_id: str | None) -> ProjectRow:
    """The project and the job, in the order of all who lock several rows. Raises Gone."""
    project = project_in(session, project_id, lock=True)
    if job_id is not None:
        job_in(session, job_id, lock=True)
    return project


def _raise_if_deleted(session: Session, operation_id: str, params: dict[str, Any]) -> None:
    batch = session.get(BatchPredictionRow, operation_id, populate_existing=True)
    noun = "batch" if batch is None or batch.deleted_at is not None else _deleted(session, params)
    if noun:
        raise OperationFailed(f"The {noun} was deleted.", deleted=noun)


def _deleted(session: Session, params: dict[str, Any]) -> str | None:
    """What it is about and was deleted."""
    rows: dict[str, VersionRow | ExportRow | JobRow | None] = {
        "version": session.get(VersionRow, params["version_id"], populate_existing=True),
        "export": session.get(ExportRow, params["export_id"], populate_existing=True),
    }
    if job_id := params["source"]["job_id"]:
        rows["dataset"] = session.get(JobRow, job_id, populate_existing=True)
    return next((noun for noun, row in rows.items() if row is None or row.deleted_at is not None), None)


def _batch(session: Session, operation_id: str) -> BatchPredictionRow:
    row = session.get(BatchPredictionRow, operation_id)
    if row is None:
        named = operation_id[:80]
        raise BatchNotFound(f"There is no batch of predictions {named}.", operation_id=named)
    if row.deleted_at is not None:
        raise Gone("The batch of predictions was deleted.", operation_id=operation_id)
    return row


def _described(session: Session, rows: Sequence[BatchPredictionRow]) -> list[Batch]:
    about = (
        select(OperationRow, VersionRow.project, VersionRow.number, VersionRow.job_id)
        .join(BatchPredictionRow, BatchPredictionRow.operation_id == OperationRow.id)
        .join(VersionRow, VersionRow.id == BatchPredictionRow.version_id)
        .where(OperationRow.id.in_([row.operation_id for row in rows]))
    )
    rows_by_id = {row.operation_id: row for row in rows}
    found = {
        operation.id: Batch(rows_by_id[operation.id], operation, project, number, job_id)
        for operation, project, number, job_id in session.execute(about)
    }
    return [found[row.operation_id] for row in rows]


def name_of(batch: Batch) -> str:
    """`raccoons/v3`"""
    return version_name(batch.project, batch.number)
