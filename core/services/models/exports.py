"""Exports of versions: requested, made by an operation, published with their certificate, listed, deleted.

Where a function takes a `ref`, that is the id of a job or the slug or id of a project.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import BundleRow, ExportRow, OperationRow, VersionRow
from core.domain.errors import ExportNotFound, Gone
from core.domain.ids import new_id
from core.domain.model_names import version_name
from core.domain.states import RUN_ACTIVE, RunState
from core.services.context import Platform
from core.services.models.refs import line_in
from core.services.models.versions import version_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.operations.commands import Requested, add_operation, enqueue_operation, operation_in
from core.services.operations.kinds import EXPORT
from core.services.operations.lifecycle import complete_in
from core.services.paging import Page, page_of
from core.services.projects.lookup import project_in
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost

_UNFINISHED = sorted(str(state) for state in (*RUN_ACTIVE, RunState.FAILED))
_OPERATIONS_READ = 200  # of a version; a list shows the newest of each choice


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What a request asks for, valid for the version. `max_drop`: None for the default of the table of bounds."""

    format: str
    precision: str
    nms: str = "outside"
    max_drop: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {"nms": self.nms, "max_drop": self.max_drop}

    def target(self, version_id: str) -> str:
        accepted = "" if self.max_drop is None else f"/{self.max_drop!r}"
        return f"{version_id}/{self.format}/{self.precision}/{self.nms}{accepted}"


FIRST = ExportChoice("onnx", "fp32")  # what every version gets when it is published


class ExportOfVersion(NamedTuple):
    export: ExportRow
    version: VersionRow
    slug: str  # of the project


@dataclass(frozen=True, slots=True)
class ExportsOfVersion:
    """A page of its exports, newest first, and beside it the operations that have made none: the newest of each choice
    that waits, runs or failed."""

    version: VersionRow
    slug: str  # of its project
    page: Page[ExportRow]
    unfinished: list[OperationRow]


def request_export(
    platform: Platform, ref: str, version: str, choice: ExportChoice, *, on_commit: OnCommit = do_nothing
) -> Requested:
    """Queue an export. One that is being made, or is there, is not made again. `on_commit` gets what is returned.

    Raises what `line_in` and `version_in` raise.
    """
    with platform.db.transaction() as session:
        line = line_in(session, ref, lock=True)  # locked: nothing of it is deleted before the commit
        row = version_in(session, line, version=version)
        slug, made = line.project.slug, _made(session, row.id, choice)
        if made is None:
            requested = add_export(session, row, slug, choice)
        else:
            requested = Requested(operation_in(session, made.operation_id), slug, is_new=False)
        on_commit(session, requested)
    if requested.is_new:
        enqueue_operation(platform, requested.operation.id)
    return requested


def add_export(
    session: Session,
    version: VersionRow,
    slug: str,
    choice: ExportChoice,
    *,
    on_publish: bool = False,
) -> Requested:
    """Inside a transaction that has locked the project, whose name is `slug`; `enqueue_operation` follows it."""
    params = {
        "name": version_name(slug, version.number),
        "version_id": version.id,
        "format": choice.format,
        "precision": choice.precision,
        **choice.options,
        "on_publish": on_publish,
    }
    operation, is_new = add_operation(
        session,
        EXPORT,
        params,
        project_id=version.project_id,
        job_id=version.job_id,
        target=choice.target(version.id),
    )
    return Requested(operation, slug, is_new)


def add_first_export(session: Session, version: VersionRow) -> str:
    """In the transaction that publishes a version: the operation that makes its ONNX, by its id for the queue."""
    slug = project_in(session, version.project_id).slug
    return add_export(session, version, slug, FIRST, on_publish=True).operation.id


def publish_export(
    db: Database, claim: Claim, file: PublishedArtifact, *, passed: bool, certificate: dict[str, Any]
) -> ExportRow:
    """In one transaction: the export with its certificate, the operation succeeded. Raises ClaimLost."""
    with db.transaction() as session:
        before = session.get(OperationRow, claim.id)
        if before is None:
            raise ClaimLost
        version = session.get_one(VersionRow, before.params["version_id"])
        export_id, params = new_id("export", clock.now_ms()), before.params
        result = _result(session, version, params, export_id=export_id, passed=passed)
        operation = complete_in(session, claim, result)  # a deleted version has cancelled it: then ClaimLost
        export = ExportRow(
            id=export_id,
            version_id=version.id,
            project_id=version.project_id,
            operation_id=operation.id,
            format=params["format"],
            precision=params["precision"],
            options={"nms": params["nms"], "max_drop": params["max_drop"]},
            file_name=file.name,
            key=file.key,
            bytes=file.bytes,
            sha256=file.sha256,
            media_type=file.media_type,
            passed=passed,
            certificate=certificate,
            created_at=clock.now(),
        )
        session.add(export)
    return export


def result_of_made(db: Database, operation: OperationRow) -> dict[str, Any] | None:
    """The result of an operation whose export another one has made; None where there is no such export."""
    params = operation.params
    choice = ExportChoice(*(params[name] for name in ("format", "precision", "nms", "max_drop")))
    with db.reading() as session:
        made = _made(session, params["version_id"], choice)
        if made is None:
            return None
        version = session.get_one(VersionRow, made.version_id)
        return _result(session, version, params, export_id=made.id, passed=made.passed)


def list_exports(db: Database, ref: str, version: str, *, cursor: str | None, limit: int) -> ExportsOfVersion:
    """Raises what `line_in` and `version_in` raise, and CursorInvalid."""
    with db.reading() as session:
        line = line_in(session, ref)
        row = version_in(session, line, version=version)
        living = select(ExportRow).where(ExportRow.version_id == row.id, ExportRow.deleted_at.is_(None))
        page = page_of(session, living, ExportRow.id, cursor=cursor, limit=limit, newest_first=True)
        return ExportsOfVersion(row, line.project.slug, page, unfinished_exports(session, row))


def get_export(db: Database, ref: str, version: str, export_id: str) -> ExportOfVersion:
    """Raises what `line_in` and `version_in` raise, and ExportNotFound, Gone."""
    with db.reading() as session:
        line = line_in(session, ref)
        row = version_in(session, line, version=version)
        return ExportOfVersion(_export_of(session, row, export_id), row, line.project.slug)


def living_export_in(session: Session, export_id: str, *, lock: bool = False) -> ExportRow:
    """For what is made of it: with `lock` it is not deleted before the commit. Raises ExportNotFound, Gone."""
    statement = select(ExportRow).where(ExportRow.id == export_id).execution_options(populate_existing=True)
    row = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if row is None:
        raise ExportNotFound(f"There is no export {export_id[:80]}.", export_id=export_id[:80])
    if row.deleted_at is not None:
        raise Gone("The export was deleted.", export_id=export_id)
    return row


def delete_export(db: Database, ref: str, version: str, export_id: str) -> None:
    """Mark it deleted, with the bundle that holds it; retention deletes their objects. The same can be made again.

    What is working on it at this moment ends with a problem. Raises what `get_export` raises.
    """
    at = clock.now()
    with db.transaction() as session:
        row = version_in(session, line_in(session, ref, lock=True), version=version)
        export = _export_of(session, row, export_id, lock=True)
        export.deleted_at = at
        holding = (BundleRow.export_id == export.id, BundleRow.deleted_at.is_(None))
        session.execute(update(BundleRow).where(*holding).values(deleted_at=at))


def _made(session: Session, version_id: str, choice: ExportChoice) -> ExportRow | None:
    """The newest living export of this choice."""
    same = (ExportRow.format == choice.format, ExportRow.precision == choice.precision)
    living = (ExportRow.version_id == version_id, ExportRow.deleted_at.is_(None), *same)
    rows = session.execute(select(ExportRow).where(*living).order_by(ExportRow.id.desc())).scalars()
    return next((row for row in rows if row.options == choice.options), None)


def _result(
    session: Session, version: VersionRow, params: dict[str, Any], *, export_id: str, passed: bool
) -> dict[str, Any]:
    """Of an operation with these params."""
    slug = project_in(session, version.project_id, allow_deleted=True).slug
    return {
        "export_id": export_id,
        "name": version_name(slug, version.number),
        "version": f"v{version.number}",
        "format": params["format"],
        "precision": params["precision"],
        "passed": passed,
    }


def _export_of(session: Session, version: VersionRow, export_id: str, *, lock: bool = False) -> ExportRow:
    row = living_export_in(session, export_id, lock=lock)
    if row.version_id != version.id:
        detail = f"v{version.number} has no export {export_id[:80]}."
        raise ExportNotFound(detail, export_id=export_id[:80], version=f"v{version.number}")
    return row


def unfinished_exports(session: Session, version: VersionRow) -> list[OperationRow]:
    """Of each choice the newest operation, where that has made no export. By the index of its job or project."""
    owner = OperationRow.job_id == version.job_id if version.job_id else OperationRow.project_id == version.project_id
    mine = (owner, OperationRow.kind == EXPORT, OperationRow.target.startswith(f"{version.id}/", autoescape=True))
    newest = select(OperationRow).where(*mine).order_by(OperationRow.id.desc()).limit(_OPERATIONS_READ)
    of_target: dict[str | None, OperationRow] = {}
    for row in session.execute(newest).scalars():
        of_target.setdefault(row.target, row)
    return [row for row in of_target.values() if row.state in _UNFINISHED]
