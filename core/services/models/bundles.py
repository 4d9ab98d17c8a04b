"""The bundle of a version: requested when it is first downloaded, written once, gone with its ONNX or its version.

Where a function takes a `ref`, that is the id of a job or the slug or id of a project.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import BundleRow, ExportRow, OperationRow, VersionRow
from core.domain.errors import BundleFailed, BundleWithoutOnnx, ExportNotFound, Gone, OperationFailed
from core.domain.model_names import version_name
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.models.exports import FIRST, ExportChoice, living_export_in
from core.services.models.refs import Line, line_in
from core.services.models.versions import version_in
from core.services.operations.commands import WANTED, add_operation, enqueue_operation
from core.services.operations.kinds import BUNDLE, EXPORT
from core.services.operations.lifecycle import complete_in
from core.services.projects.lookup import project_in
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost

_INSIDE = ExportChoice("onnx", "fp32", nms="inside")
_EXPORTS = (FIRST, _INSIDE)  # either can be bundled; the first one is preferred


class Standing(NamedTuple):
    """Of a version: its bundle, or else the operation that it waits for, which is its own or that of its ONNX.

    Without either, `export` is the one that a bundle can be made of.
    """

    version: VersionRow
    slug: str  # of its project
    bundle: BundleRow | None = None
    operation: OperationRow | None = None
    export: ExportRow | None = None


@dataclass(frozen=True, slots=True)
class BundledContent:
    """A file of a bundle."""

    name: str
    bytes: int
    sha256: str


def find_bundle(db: Database, ref: str, version: str) -> Standing:
    """Queues nothing. Raises what `line_in` and `version_in` raise, and BundleWithoutOnnx, BundleFailed."""
    with db.reading() as session:
        return _standing(session, line_in(session, ref), version)


def request_bundle(platform: Platform, ref: str, version: str) -> Standing:
    """The bundle, or the operation that is to be waited for: once its ONNX is there, the next request queues the
    bundle. One that failed is not tried again by itself while it can be retried.

    Raises as `find_bundle`.
    """
    before = find_bundle(platform.db, ref, version)
    if before.export is None:
        return before
    with platform.db.transaction() as session:
        found = _standing(session, line_in(session, ref, lock=True), version)
        if found.export is None:
            return found
        if found.version.job_id is not None:
            job_in(session, found.version.job_id, lock=True)  # it is not deleted before the commit
        operation, is_new = _add_operation(session, found, found.export)
    if is_new:
        enqueue_operation(platform, operation.id)
    return found._replace(operation=operation, export=None)


def publish_bundle(
    db: Database, claim: Claim, file: PublishedArtifact, contents: Sequence[BundledContent]
) -> BundleRow:
    """In one transaction: the bundle, the operation succeeded. One that was deleted is replaced.

    Raises OperationFailed where its version or its ONNX was deleted meanwhile, ClaimLost.
    """
    with db.transaction() as session:
        operation = session.get(OperationRow, claim.id)
        if operation is None:
            raise ClaimLost
        _lock(session, operation)
        export = _export_to_bundle(session, operation.params["export_id"])
        version = session.get_one(VersionRow, export.version_id)
        result = {
            "name": version_name(version.project, version.number),
            "version": f"v{version.number}",
            "version_id": version.id,
            "export_id": export.id,
            "bytes": file.bytes,
        }
        complete_in(session, claim, result)
        before = session.get(BundleRow, export.version_id, populate_existing=True)
        if before is not None:
            session.delete(before)
            session.flush()
        bundle = BundleRow(
            version_id=export.version_id,
            export_id=export.id,
            project_id=export.project_id,
            operation_id=claim.id,
            key=file.key,
            bytes=file.bytes,
            sha256=file.sha256,
            contents=[asdict(each) for each in contents],
            created_at=clock.now(),
        )
        session.add(bundle)
    return bundle


def _standing(session: Session, line: Line, version: str) -> Standing:
    row = version_in(session, line, version=version)
    found = Standing(row, line.project.slug)
    bundle = session.get(BundleRow, row.id, populate_existing=True)
    if bundle is not None and bundle.deleted_at is None:
        return found._replace(bundle=bundle)
    export = _onnx(session, row)
    if export is None:
        return found._replace(operation=_onnx_operation(session, found))
    newest = _newest(session, BUNDLE, _target(export))
    if newest is not None and newest.state in WANTED:
        return found._replace(operation=newest)
    if newest is not None and newest.state == RunState.FAILED and newest.purged_at is None:
        raise _failed(found, newest)
    return found._replace(export=export)


def _onnx(session: Session, version: VersionRow, *, passed: bool = True) -> ExportRow | None:
    """The newest in single precision whose certificate passed, or did not; with the suppression outside where there is
    one."""
    same = (ExportRow.format == FIRST.format, ExportRow.precision == FIRST.precision)
    wanted = (*same, ExportRow.passed.is_(passed))
    living = (ExportRow.version_id == version.id, ExportRow.deleted_at.is_(None), *wanted)
    rows = list(session.execute(select(ExportRow).where(*living).order_by(ExportRow.id.desc())).scalars())
    return min(rows, key=lambda row: row.options.get("nms") != FIRST.nms, default=None)


def _onnx_operation(session: Session, found: Standing) -> OperationRow:
    """The one that makes the ONNX. Raises BundleWithoutOnnx where none does."""
    newest = [_newest(session, EXPORT, choice.target(found.version.id)) for choice in _EXPORTS]
    for operation in newest:
        if operation is not None and operation.state in WANTED:
            return operation
    name = version_name(found.slug, found.version.number)
    path = f"/models/{found.version.project_id}/v{found.version.number}/exports"
    facts: dict[str, Any] = {"version_id": found.version.id, "links": {"exports": path}}
    if (refused := _onnx(session, found.version, passed=False)) is not None:
        facts["links"]["export"] = f"{path}/{refused.id}"
        facts["reasons"] = reasons = refused.certificate.get("reasons") or []
        detail = " ".join([f"The ONNX of {name} did not pass its certificate.", *reasons[:1]])
        raise BundleWithoutOnnx(f"{detail} Delete that export ({refused.id}), then make it again.", **facts)
    detail = f"{name} has no ONNX in single precision that passed its certificate: make one (POST {path})."
    if newest[0] is not None and newest[0].problem:
        detail += f" Its last export failed: {newest[0].problem['detail']}"
        facts["links"]["operation"] = f"/operations/{newest[0].id}"
    raise BundleWithoutOnnx(detail, **facts)


def _failed(found: Standing, operation: OperationRow) -> BundleFailed:
    links = {"operation": f"/operations/{operation.id}", "retry": f"/operations/{operation.id}/retry"}
    reason = (operation.problem or {}).get("detail", "")
    name = version_name(found.slug, found.version.number)
    detail = f"The bundle of {name} could not be written: {reason} Try it again (POST {links['retry']})."
    return BundleFailed(detail, operation_id=operation.id, problem=operation.problem, links=links)


def _add_operation(session: Session, found: Standing, export: ExportRow) -> tuple[OperationRow, bool]:
    version = found.version
    params = {
        "version": version_name(found.slug, version.number),
        "version_id": version.id,
        "export_id": export.id,
    }
    owner = {"project_id": version.project_id, "job_id": version.job_id}
    return add_operation(session, BUNDLE, params, target=_target(export), **owner)


def _target(export: ExportRow) -> str:
    """Another ONNX makes another bundle."""
    return f"{export.version_id}/{export.id}"


def _newest(session: Session, kind: str, target: str) -> OperationRow | None:
    made = select(OperationRow).where(OperationRow.kind == kind, OperationRow.target == target)
    return session.execute(made.order_by(OperationRow.id.desc()).limit(1)).scalar_one_or_none()


def _lock(session: Session, operation: OperationRow) -> None:
    """The project and the job, in the order of all who lock several rows. Raises Gone."""
    project_in(session, str(operation.project_id), lock=True)
    if operation.job_id is not None:
        job_in(session, operation.job_id, lock=True)


def _export_to_bundle(session: Session, export_id: str) -> ExportRow:
    try:
        return living_export_in(session, export_id)
    except (ExportNotFound, Gone) as error:
        raise OperationFailed("The ONNX of the bundle was deleted.", export_id=export_id) from error
