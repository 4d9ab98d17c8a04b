"""Versions that were not trained here: their upload is queued, and published by the operation that reads it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from core import clock
from core.db import Database
from core.db.tables import ArtifactRow, OperationRow, ProjectRow, VersionRow
from core.domain.errors import ProjectIsImplicit
from core.domain.ids import new_id
from core.domain.model_names import version_name
from core.domain.not_ready import not_ready
from core.services.context import Platform
from core.services.jobs.names import dataset_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.operations.commands import queue_operation
from core.services.operations.lifecycle import complete_in
from core.services.projects.lookup import give_kind, next_version, project_in, raise_other_kind
from core.services.runs.lifecycle import PublishedArtifact, listed_artifact
from core.services.work.leases import Claim, ClaimLost

IMPORT_VERSION = "import-version"  # the kind of operation
SOURCE = "source"  # the name of the operation's input
IMPORTED = "imported"  # the origin of a version


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The uploaded file: its name for people, its size and its digest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The dataset whose val and test splits a version is evaluated on."""

    job_id: str
    fingerprint: str


def importing_project(db: Database, ref: str, *, answered: bool = False) -> ProjectRow:
    """The project that an import may add a version to; `ref`: its slug or id.

    `answered`: the import was queued before, and the project may have been renamed or deleted since.
    Raises ProjectNotFound, ProjectRenamed, Gone, ProjectIsImplicit.
    """
    with db.reading() as session:
        project = project_in(session, ref, follow=answered, allow_deleted=answered)
    if project.implicit and not answered:
        detail = f"{project.slug} belongs to a single upload: rename it with PATCH /projects/{project.slug} first."
        raise ProjectIsImplicit(detail, project=project.slug)
    return project


def evaluation_set(db: Database, project: ProjectRow, ref: str) -> EvaluationSet:
    """`ref`: a job's id, or `d2` of the project. Raises JobNotFound, JobNotReady, Gone, ProjectKindMismatch."""
    with db.reading() as session:
        job = dataset_in(session, ref, project=project)
    if job.fingerprint is None or job.kind is None:
        raise not_ready(job.id, job.state)
    raise_other_kind(project, job.kind)
    return EvaluationSet(job.id, job.fingerprint)


def import_version(
    platform: Platform,
    project: ProjectRow,
    operation_id: str,
    source: ModelSource,
    *,
    dataset: EvaluationSet | None = None,
    on_commit: OnCommit = do_nothing,
) -> OperationRow:
    """Queue the import of the stored object at `operation_input_key(operation_id, SOURCE)`.

    Raises ProjectNotFound, Gone.
    """
    return queue_operation(
        platform,
        IMPORT_VERSION,
        {"source": asdict(source), "dataset": asdict(dataset) if dataset else None},
        project_id=project.id,
        operation_id=operation_id,
        on_commit=on_commit,
    )


def publish_import(
    db: Database,
    claim: Claim,
    *,
    trainer: str,
    kind: str,
    metrics: dict[str, Any],
    weights_name: str,
    artifacts: Sequence[PublishedArtifact],
    notes: Sequence[str] = (),
    on_commit: OnCommit = do_nothing,
) -> VersionRow:
    """Publish in one transaction: the next number of the project, the version, its artifacts, the operation succeeded.

    `on_commit` gets the version, at the end of the transaction, which has locked its project.

    Raises ProjectKindMismatch, Gone, ClaimLost.
    """
    with db.transaction() as session:
        before = session.get(OperationRow, claim.id)
        if before is None or before.project_id is None:
            raise ClaimLost
        number = next_version(session, before.project_id)
        project = project_in(session, before.project_id)
        give_kind(session, project.id, kind)
        version_id, name = new_id("version", clock.now_ms()), version_name(project.slug, number)
        result = {"name": name, "version": f"v{number}", "version_id": version_id, "evaluated": bool(metrics)}
        operation = complete_in(session, claim, result | {"notes": list(notes)})
        version = VersionRow(
            id=version_id,
            project_id=project.id,
            number=number,
            origin=IMPORTED,
            operation_id=operation.id,
            attempt=claim.attempt,
            trainer=trainer,
            params=operation.params,
            metrics=metrics,
            weights_name=weights_name,
            artifacts=[
                listed_artifact(artifact, f"/models/{project.id}/v{number}")
                for artifact in sorted(artifacts, key=attrgetter("name"))
            ],
            created_at=clock.now(),
        )
        session.add(version)
        session.flush()
        session.add_all(ArtifactRow(version_id=version_id, **asdict(artifact)) for artifact in artifacts)
        on_commit(session, version)
    return version
