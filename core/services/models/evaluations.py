"""Evaluations: a version, or an export of it, on a split of a dataset. A request queues one, its operation publishes.

The same version or export on the same split of the same images is evaluated once: the target of its operation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import (
    EvaluationArtifactRow,
    EvaluationRow,
    ExportRow,
    JobRow,
    OperationRow,
    ProjectRow,
    VersionRow,
)
from core.domain.errors import (
    ArtifactNotFound,
    EvaluationKindMismatch,
    EvaluationNotFound,
    ExportNotPassed,
    Gone,
    OperationFailed,
)
from core.domain.ids import new_id
from core.domain.model_names import dataset_name, version_name
from core.domain.not_ready import not_ready
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.jobs.names import dataset_in
from core.services.models.exports import living_export_in
from core.services.models.names import model_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.operations.automatic import ON_PUBLISH
from core.services.operations.commands import (
    Requested,
    active_operation,
    add_operation,
    enqueue_operation,
    operation_in,
)
from core.services.operations.kinds import EVALUATE
from core.services.operations.lifecycle import complete_in
from core.services.paging import Page, page_of
from core.services.projects.lookup import project_in
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost

DEFAULT_SPLIT: Literal["test"] = "test"


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """Either `version`, a model by its name or a job's id, or `export`, an id. `dataset`: a job's id, or
    `raccoons/d2`. `force`: also an export whose certificate did not pass."""

    dataset: str
    version: str | None = None
    export: str | None = None
    split: str = DEFAULT_SPLIT
    force: bool = False


class EvaluationPlan(NamedTuple):
    """What an operation evaluates: its params, its target, and the slug of its project."""

    params: dict[str, Any]
    target: str
    slug: str


def request_evaluation(
    platform: Platform, request: EvaluationRequest, *, on_commit: OnCommit = do_nothing
) -> Requested:
    """Queue an evaluation. The operation that makes it already, or has made it, is returned instead.

    Raises what finding the model and the dataset raises, and ExportNotFound, ExportNotPassed, JobNotReady,
    EvaluationKindMismatch.
    """
    with platform.db.transaction() as session:
        requested = _requested(session, request)
        on_commit(session, requested)
    if requested.is_new:
        enqueue_operation(platform, requested.operation.id)
    return requested


def find_evaluation(db: Database, request: EvaluationRequest) -> OperationRow | None:
    """The operation that makes what is requested, or has made it; None: nothing does. Raises as `request_evaluation`.

    It queues nothing.
    """
    with db.reading() as session:
        plan = plan_evaluation(session, request)
        made = session.execute(_made(plan.params)).scalar_one_or_none()
        return operation_in(session, made) if made else active_operation(session, EVALUATE, plan.target)


def publish_evaluation(
    db: Database, claim: Claim, *, metrics: dict[str, Any], artifacts: Sequence[PublishedArtifact]
) -> EvaluationRow:
    """Publish in one transaction: the evaluation, its artifacts, the operation succeeded.

    Raises OperationFailed where what it is about was deleted meanwhile, ClaimLost.
    """
    with db.transaction() as session:
        operation = session.get(OperationRow, claim.id)
        if operation is None:
            raise ClaimLost
        params, evaluation_id = operation.params, new_id("evaluation", clock.now_ms())
        _lock(session, params)
        raise_if_deleted_in(session, params)
        complete_in(session, claim, {"evaluation_id": evaluation_id, "name": params["name"]})
        row = EvaluationRow(
            id=evaluation_id,
            version_id=params["version_id"],
            export_id=params["export_id"],
            project_id=params["project_id"],
            job_id=params["job_id"],
            fingerprint=params["fingerprint"],
            split=params["split"],
            operation_id=claim.id,
            metrics=metrics,
            created_at=clock.now(),
        )
        session.add(row)
        session.flush()
        session.add_all(EvaluationArtifactRow(evaluation_id=evaluation_id, **asdict(each)) for each in artifacts)
    return row


def raise_if_deleted_in(session: Session, params: dict[str, Any]) -> None:
    """`params`: of the operation. Raises OperationFailed where its version, export or dataset was deleted."""
    export_id = params["export_id"]
    rows: dict[str, VersionRow | JobRow | ExportRow | None] = {
        "version": session.get(VersionRow, params["version_id"], populate_existing=True),
        "dataset": session.get(JobRow, params["job_id"], populate_existing=True),
    }
    if export_id:
        rows["export"] = session.get(ExportRow, export_id, populate_existing=True)
    for noun, row in rows.items():
        if row is None or row.deleted_at is not None:
            raise OperationFailed(f"The {noun} was deleted.", deleted=noun)


def list_evaluations(
    db: Database,
    *,
    cursor: str | None,
    limit: int,
    project: str | None = None,
    version: str | None = None,
    version_id: str | None = None,
    export: str | None = None,
    job_id: str | None = None,
    split: str | None = None,
) -> Page[EvaluationRow]:
    """Newest first. `project` is that of the version, whose `v3` is meant; `version_id` is not looked up. `job_id`: of
    the dataset, or `raccoons/d2`.

    Raises what finding any of them raises."""
    statement = select(EvaluationRow).where(EvaluationRow.deleted_at.is_(None))
    own = ((EvaluationRow.version_id, version_id), (EvaluationRow.export_id, export), (EvaluationRow.split, split))
    for column, wanted in own:
        if wanted:
            statement = statement.where(column == wanted)
    with db.reading() as session:
        if job_id:
            named = dataset_in(session, job_id).id if "/" in job_id else job_id
            statement = statement.where(EvaluationRow.job_id == named)
        owner = project_in(session, project).id if project else None
        if owner:
            statement = statement.where(EvaluationRow.project_id == owner)
        if version:
            statement = statement.where(EvaluationRow.version_id == model_in(session, version, project_id=owner).id)
        return page_of(session, statement, EvaluationRow.id, cursor=cursor, limit=limit, newest_first=True)


def get_evaluation(db: Database, evaluation_id: str) -> EvaluationRow:
    """Raises EvaluationNotFound, Gone."""
    with db.reading() as session:
        return _evaluation(session, evaluation_id)


def artifacts_of_evaluation(db: Database, evaluation_id: str) -> list[EvaluationArtifactRow]:
    """Sorted by name."""
    mine = EvaluationArtifactRow.evaluation_id == evaluation_id
    with db.reading() as session:
        return list(
            session.execute(select(EvaluationArtifactRow).where(mine).order_by(EvaluationArtifactRow.name)).scalars()
        )


def find_evaluation_artifact(db: Database, evaluation_id: str, name: str) -> EvaluationArtifactRow:
    """Raises EvaluationNotFound, Gone, ArtifactNotFound."""
    with db.reading() as session:
        _evaluation(session, evaluation_id)
        row = session.get(EvaluationArtifactRow, (evaluation_id, name))
    if row is None:
        raise ArtifactNotFound(f"The evaluation has no artifact {name[:80]!r}.", evaluation_id=evaluation_id)
    return row


def delete_evaluation(db: Database, evaluation_id: str) -> datetime:
    """Mark it deleted, and return when; retention deletes its objects. Raises EvaluationNotFound, Gone."""
    at = clock.now()
    living = (EvaluationRow.id == evaluation_id, EvaluationRow.deleted_at.is_(None))
    with db.transaction() as session:
        deleted = update(EvaluationRow).where(*living).values(deleted_at=at).returning(EvaluationRow.id)
        if session.execute(deleted).first() is None:
            _evaluation(session, evaluation_id)
    return at


def _requested(session: Session, request: EvaluationRequest) -> Requested:
    params, target, slug = plan_evaluation(session, request)
    _lock(session, params)
    if (made := session.execute(_made(params)).scalar_one_or_none()) is not None:  # none is published under the lock
        return Requested(operation_in(session, made), slug, is_new=False)
    owners = {"project_id": params["project_id"], "job_id": params["job_id"]}
    row, is_new = add_operation(session, EVALUATE, params, **owners, target=target)
    if row.params.get(ON_PUBLISH):  # queued with the version: from now on somebody waits for it
        row.params = {**row.params, ON_PUBLISH: False}
    return Requested(row, slug, is_new)


def plan_evaluation(
    session: Session, request: EvaluationRequest, *, version: VersionRow | None = None
) -> EvaluationPlan:
    """`version`: in place of the one that the request names. Raises as `request_evaluation`."""
    job = dataset_in(session, request.dataset)
    export = _export(session, request) if request.export else None
    if export:
        version = session.get_one(VersionRow, export.version_id)
    version = version or model_in(session, str(request.version), project_id=job.project_id)
    project = project_in(session, version.project_id)
    if job.fingerprint is None or job.kind is None:
        raise not_ready(job.id, job.state)
    if project.kind not in (None, job.kind):
        raise EvaluationKindMismatch(
            f"{version_name(project.slug, version.number)} is for {project.kind}; "
            f"{dataset_name(job.project, job.revision)} is a dataset for {job.kind}.",
            kind=project.kind,
            dataset_kind=job.kind,
        )
    params = {
        "name": _name(project, version, export),
        "version_id": version.id,
        "export_id": export.id if export else None,
        "project_id": project.id,
        "dataset": dataset_name(job.project, job.revision),
        "job_id": job.id,
        "fingerprint": job.fingerprint,
        "split": request.split,
    }
    return EvaluationPlan(
        params, f"{params['export_id'] or version.id}/{job.fingerprint}/{request.split}", project.slug
    )


def _export(session: Session, request: EvaluationRequest) -> ExportRow:
    row = living_export_in(session, str(request.export))
    if not row.passed and not request.force:
        detail = "Its certificate did not pass; with `force: true` it is evaluated all the same."
        raise ExportNotPassed(detail, export_id=row.id, reasons=row.certificate.get("reasons") or [])
    return row


def _name(project: ProjectRow, version: VersionRow, export: ExportRow | None) -> str:
    name = version_name(project.slug, version.number)
    return f"{name} {export.format} {export.precision}" if export else name


def _made(params: dict[str, Any]) -> Select[str]:
    """The operation that has made the evaluation."""
    same = [EvaluationRow.version_id == params["version_id"], EvaluationRow.export_id == params["export_id"]]
    same += [getattr(EvaluationRow, name) == params[name] for name in ("fingerprint", "split")]
    made = select(EvaluationRow.operation_id).where(*same, EvaluationRow.deleted_at.is_(None))
    return made.order_by(EvaluationRow.id.desc()).limit(1)


def _lock(session: Session, params: dict[str, Any]) -> None:
    """The project and the job, in the order of all who lock several rows. Raises Gone."""
    project_in(session, params["project_id"], lock=True)
    job_in(session, params["job_id"], lock=True)


def _evaluation(session: Session, evaluation_id: str) -> EvaluationRow:
    row = session.get(EvaluationRow, evaluation_id)
    if row is None:
        raise EvaluationNotFound(f"There is no evaluation {evaluation_id[:80]}.", evaluation_id=evaluation_id[:80])
    if row.deleted_at is not None:
        raise Gone("The evaluation was deleted.", evaluation_id=evaluation_id)
    return row
