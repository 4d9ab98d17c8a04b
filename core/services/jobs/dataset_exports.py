"""Exports of a dataset: requested when one is first downloaded, written once a format, gone with the dataset."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import DatasetExportRow, DatasetRow, JobRow, OperationRow
from core.domain.errors import DatasetExportFailed, DatasetExportNotFound, Gone, OperationFailed
from core.domain.ids import new_id
from core.domain.not_ready import not_ready
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.jobs.lifecycle import LIVE
from core.services.operations.commands import WANTED, add_operation, enqueue_operation
from core.services.operations.kinds import EXPORT_DATASET
from core.services.operations.lifecycle import complete_in
from core.services.paging import Page, page_of
from core.services.projects.lookup import project_in
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost


@dataclass(frozen=True, slots=True)
class DatasetExportChoice:
    """What a request asks for, valid for the kind of the dataset. See `pipeline.params.dataset_exports`."""

    format: str
    arrange: str = "paths"

    @property
    def options(self) -> dict[str, Any]:
        return {"arrange": self.arrange}

    def target(self, job_id: str) -> str:
        return f"{job_id}/{self.format}/{self.arrange}"


class Standing(NamedTuple):
    """Of a dataset: the export of a choice, or else the operation that makes it. Without either it can be requested."""

    job: JobRow
    export: DatasetExportRow | None = None
    operation: OperationRow | None = None


class ExportInputs(NamedTuple):
    job: JobRow
    dataset: DatasetRow


def find_dataset_export(db: Database, job_id: str, choice: DatasetExportChoice) -> Standing:
    """Queues nothing. Raises JobNotFound, Gone, JobNotReady, DatasetExportFailed."""
    with db.reading() as session:
        return _standing(session, job_in(session, job_id), choice)


def request_dataset_export(platform: Platform, job_id: str, choice: DatasetExportChoice) -> Standing:
    """The export, or the operation that makes it. One that failed is not tried again by itself while it can be retried.

    Raises as `find_dataset_export`.
    """
    before = find_dataset_export(platform.db, job_id, choice)
    if before.export or before.operation:
        return before
    with platform.db.transaction() as session:
        project_in(session, before.job.project_id, lock=True)  # in the order of all who lock several rows
        found = _standing(session, job_in(session, job_id, lock=True), choice)  # it is not deleted before the commit
        if found.export or found.operation:
            return found
        params = {"fingerprint": found.job.fingerprint, "format": choice.format, **choice.options}
        operation, is_new = add_operation(
            session,
            EXPORT_DATASET,
            params,
            project_id=found.job.project_id,
            job_id=job_id,
            target=choice.target(job_id),
        )
    if is_new:
        enqueue_operation(platform, operation.id)
    return found._replace(operation=operation)


def dataset_export_inputs(db: Database, operation: OperationRow) -> ExportInputs:
    """Raises OperationFailed where the dataset was deleted."""
    with db.reading() as session:
        job = session.get(JobRow, operation.job_id)
        dataset = session.get(DatasetRow, operation.params["fingerprint"])
        if job is None or job.deleted_at is not None or dataset is None or dataset.state != LIVE:
            raise OperationFailed("The dataset was deleted.", job_id=operation.job_id)
        return ExportInputs(job, dataset)


def publish_dataset_export(
    db: Database, claim: Claim, file: PublishedArtifact, *, losses: list[dict[str, Any]]
) -> DatasetExportRow:
    """In one transaction: the export, the operation succeeded. An earlier one of the same choice is replaced.

    Raises OperationFailed where the dataset was deleted meanwhile, ClaimLost.
    """
    at = clock.now()
    with db.transaction() as session:
        before = session.get(OperationRow, claim.id)
        if before is None or before.job_id is None:
            raise ClaimLost
        project_in(session, str(before.project_id), lock=True)
        try:
            job = job_in(session, before.job_id, lock=True)
        except Gone as error:
            raise OperationFailed("The dataset was deleted.", job_id=before.job_id) from error
        params = before.params
        choice = DatasetExportChoice(params["format"], params["arrange"])
        for same in _living(session, job.id, choice):
            session.execute(update(DatasetExportRow).where(DatasetExportRow.id == same.id).values(deleted_at=at))
        export = DatasetExportRow(
            id=new_id("dataexport", clock.now_ms()),
            job_id=job.id,
            project_id=job.project_id,
            operation_id=claim.id,
            fingerprint=params["fingerprint"],
            format=choice.format,
            options=choice.options,
            losses=losses,
            file_name=file.name,
            key=file.key,
            bytes=file.bytes,
            sha256=file.sha256,
            media_type=file.media_type,
            created_at=at,
        )
        result = {"dataset_export_id": export.id, "format": choice.format, "bytes": file.bytes, "losses": losses}
        complete_in(session, claim, result)
        session.add(export)
    return export


def list_dataset_exports(db: Database, job_id: str, *, cursor: str | None, limit: int) -> Page[DatasetExportRow]:
    """Newest first. Raises JobNotFound, Gone, CursorInvalid."""
    with db.reading() as session:
        job = job_in(session, job_id)
        living = (DatasetExportRow.job_id == job.id, DatasetExportRow.deleted_at.is_(None))
        statement = select(DatasetExportRow).where(*living)
        return page_of(session, statement, DatasetExportRow.id, cursor=cursor, limit=limit, newest_first=True)


def delete_dataset_export(db: Database, job_id: str, export_id: str) -> None:
    """Mark it deleted; retention deletes its object. The same can be made again.

    Raises JobNotFound, Gone, DatasetExportNotFound.
    """
    with db.transaction() as session:
        job = job_in(session, job_id)
        statement = select(DatasetExportRow).where(DatasetExportRow.id == export_id).with_for_update()
        row = session.execute(statement).scalar_one_or_none()
        if row is None or row.job_id != job.id:
            detail = f"The dataset has no export {export_id[:80]}."
            raise DatasetExportNotFound(detail, job_id=job_id, export_id=export_id[:80])
        if row.deleted_at is not None:
            raise Gone("The export was deleted.", export_id=export_id)
        row.deleted_at = clock.now()


def _standing(session: Session, job: JobRow, choice: DatasetExportChoice) -> Standing:
    if job.fingerprint is None:
        raise not_ready(job.id, job.state)
    made = _living(session, job.id, choice)
    if made:
        return Standing(job, export=made[0])
    of_choice = (OperationRow.kind == EXPORT_DATASET, OperationRow.target == choice.target(job.id))
    newest = select(OperationRow).where(*of_choice).order_by(OperationRow.id.desc()).limit(1)
    operation = session.execute(newest).scalar_one_or_none()
    if operation is not None and operation.state in WANTED:
        return Standing(job, operation=operation)
    if operation is not None and operation.state == RunState.FAILED and operation.purged_at is None:
        raise _failed(job, operation)
    return Standing(job)


def _living(session: Session, job_id: str, choice: DatasetExportChoice) -> list[DatasetExportRow]:
    """Newest first."""
    same = (DatasetExportRow.job_id == job_id, DatasetExportRow.format == choice.format)
    living = select(DatasetExportRow).where(*same, DatasetExportRow.deleted_at.is_(None))
    rows = session.execute(living.order_by(DatasetExportRow.id.desc())).scalars()
    return [row for row in rows if row.options == choice.options]


def _failed(job: JobRow, operation: OperationRow) -> DatasetExportFailed:
    links = {"operation": f"/operations/{operation.id}", "retry": f"/operations/{operation.id}/retry"}
    reason = (operation.problem or {}).get("detail", "")
    detail = f"The dataset could not be written: {reason} POST {links['retry']} tries it again."
    return DatasetExportFailed(detail, job_id=job.id, operation_id=operation.id, problem=operation.problem, links=links)
