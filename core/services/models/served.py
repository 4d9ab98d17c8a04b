"""A name of a model to the export that answers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ExportRow, OperationRow, VersionRow
from core.domain.errors import Gone, ModelNotServable, NotFound, RequestInvalid
from core.domain.model_names import parse_model_name, version_name
from core.domain.states import RUN_ACTIVE
from core.services.models.exports import unfinished_exports
from core.services.models.refs import is_job, line_in
from core.services.models.versions import version_in
from core.services.operations.kinds import EXPORT

SERVED_FORMATS = ("onnx", "openvino")


@dataclass(frozen=True, slots=True)
class Served:
    """The export that answers for a version, and what an answer says of both. `key`: of its object."""

    name: str  # raccoons/v3
    project: str
    project_id: str
    version_id: str
    job_id: str | None
    export_id: str
    format: str
    precision: str
    file_name: str
    key: str
    bytes: int
    sha256: str


def find_served(db: Database, name: str, *, precision: str = "fp32") -> Served:
    """`name`: a project, `project/v3`, `project@alias`, or the id of a job; `precision`: of the export that is wanted.

    Raises RequestInvalid for what is no name, what `version_in` raises, and ModelNotServable for a version without a
    passed export of that precision.
    """
    with db.reading() as session:
        return served_in(session, name, precision=precision)


def served_in(session: Session, name: str, *, precision: str) -> Served:
    """The same inside a transaction."""
    version = _version(session, name)
    rows = session.execute(
        select(ExportRow).where(
            ExportRow.version_id == version.id,
            ExportRow.deleted_at.is_(None),
            ExportRow.format.in_(SERVED_FORMATS),
            ExportRow.precision == precision,
        )
    )
    exports = list(rows.scalars())
    called = version_name(version.project, version.number)
    passed = [row for row in exports if row.passed]
    if not passed:
        reason = _reason(called, precision, waits=_waits(session, version, precision), has_failed=bool(exports))
        raise ModelNotServable(reason, name=called, precision=precision)
    row = min(passed, key=lambda each: (SERVED_FORMATS.index(each.format), each.id))
    return Served(
        name=called,
        project=version.project,
        project_id=version.project_id,
        version_id=version.id,
        job_id=version.job_id,
        export_id=row.id,
        format=row.format,
        precision=row.precision,
        file_name=row.file_name,
        key=row.key,
        bytes=row.bytes,
        sha256=row.sha256,
    )


def why_not_served(session: Session, project: str, number: int, *, precision: str) -> str | None:
    """Why predictions are not answered by this version of the project; None where they are."""
    try:
        served_in(session, version_name(project, number), precision=precision)
    except (ModelNotServable, NotFound, Gone) as error:
        return error.detail
    return None


def served_or_why(db: Database, versions: Sequence[VersionRow], *, precision: str) -> dict[str, str | None]:
    """By the id of each version, which is there, why predictions are not answered by it; None where they are."""
    ids = [version.id for version in versions]
    of_version = (ExportRow.version_id.in_(ids), ExportRow.deleted_at.is_(None))
    answering = (ExportRow.format.in_(SERVED_FORMATS), ExportRow.precision == precision)
    exports = select(ExportRow.version_id, ExportRow.passed).where(*of_version, *answering)
    active = select(OperationRow.target, OperationRow.params).where(
        OperationRow.state.in_(RUN_ACTIVE),
        OperationRow.kind == EXPORT,
        OperationRow.project_id.in_({version.project_id for version in versions}),
    )
    with db.reading() as session:
        made = session.execute(exports).all()
        waiting = {
            str(target).partition("/")[0] for target, params in session.execute(active) if _fits(params, precision)
        }
    passed = {version_id for version_id, has_passed in made if has_passed}
    failed = {version_id for version_id, _ in made} - passed

    def reason(version: VersionRow) -> str:
        called = version_name(version.project, version.number)
        return _reason(called, precision, waits=version.id in waiting, has_failed=version.id in failed)

    return {version.id: None if version.id in passed else reason(version) for version in versions}


def _version(session: Session, name: str) -> VersionRow:
    if is_job(name):
        return version_in(session, line_in(session, name))
    parsed = parse_model_name(name)
    if parsed is None or parsed.project is None:
        detail = f"{name[:100]!r} is no name of a model: write raccoons, raccoons/v3, raccoons@production or a job_id."
        raise RequestInvalid(detail, model=name[:100])
    line = line_in(session, parsed.project)
    return version_in(session, line, version=parsed.version, alias=parsed.alias)


def _waits(session: Session, version: VersionRow, precision: str) -> bool:
    """Whether an export that could answer is being made."""
    making = [row.params for row in unfinished_exports(session, version) if row.state in RUN_ACTIVE]
    return any(_fits(each, precision) for each in making)


def _fits(params: Mapping[str, Any], precision: str) -> bool:
    """Whether the export that these params ask for could answer."""
    return params["format"] in SERVED_FORMATS and params["precision"] == precision


def _reason(called: str, precision: str, *, waits: bool, has_failed: bool) -> str:
    """What is wrong, and what to do: first at the pages, in brackets by a program."""
    exports = f"/models/{called}/exports"
    if waits:
        return f"The {precision} export of {called} is being made. Try again once its exports list it (GET {exports})."
    if has_failed:
        return (
            f"The {precision} export of {called} did not pass its certificate, and is not served. "
            f"Its exports say why, as `darkroom export {called}` does (GET {exports})."
        )
    return f"{called} has no {precision} export yet. Make one on the page of its exports (POST {exports})."
