"""Two versions of a project compared on the same images: those of its frozen test set, or of a split that is named."""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.db.tables import EvaluationRow, JobRow, OperationRow, TestSetRow, VersionRow
from core.domain.errors import EvaluationNotFound, Gone, NoTestSet
from core.domain.model_names import version_name
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.jobs.names import dataset_in
from core.services.models.evaluations import EvaluationRequest, find_evaluation, get_evaluation, request_evaluation
from core.services.models.names import model_in
from core.services.operations.commands import newest_operation
from core.services.operations.kinds import EVALUATE
from core.services.projects.lookup import project_in
from core.services.projects.test_sets import current_test_set


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """`dataset`: that it was trained on; None for an imported one. `operation` makes the evaluation, while that is
    None; None where nothing does."""

    row: VersionRow
    name: str
    dataset: JobRow | None
    operation: OperationRow | None
    evaluation: EvaluationRow | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """`generation`: of the frozen test set; None where the dataset was named."""

    slug: str
    project_id: str
    dataset: JobRow
    split: str
    generation: int | None
    first: ComparedVersion
    second: ComparedVersion


def compare_versions(
    platform: Platform, ref: str, *, first: str, second: str, dataset: str | None, split: str, queues: bool = True
) -> VersionComparison:
    """Queues the evaluations that are missing, where `queues`.

    `first`, `second`: `v3`, `@production`, or another name of a model.
    `dataset`: a job's id, `raccoons/d2` or `d2`; by default the frozen one.

    Raises NoTestSet, and what finding them and `request_evaluation` raise.
    """
    with platform.db.reading() as session:
        project = project_in(session, ref)
        versions = [model_in(session, text, project_id=project.id) for text in (first, second)]
        frozen = None if dataset else _frozen(session, project.id, project.slug)
        job = dataset_in(session, dataset or str(frozen and frozen.job_id), project=project)
    compared = [_evaluated(platform, version, job, split, queues=queues) for version in versions]
    generation = frozen.generation if frozen else None
    return VersionComparison(project.slug, project.id, job, split, generation, *compared)


def _frozen(session: Session, project_id: str, slug: str) -> TestSetRow:
    row = current_test_set(session, project_id)
    if row is None:
        detail = (
            f"{slug} has no frozen test set: PUT /projects/{slug}/test-set with the job_id of a dataset freezes its "
            "test split. Or name a dataset with ?job_id= and ?split=."
        )
        raise NoTestSet(detail, project=slug)
    return row


def _evaluated(platform: Platform, version: VersionRow, job: JobRow, split: str, *, queues: bool) -> ComparedVersion:
    name = version_name(version.project, version.number)
    operation = newest_operation(platform.db, EVALUATE, f"{version.id}/{job.fingerprint}/{split}")
    evaluation = _made_by(platform, operation)
    # One that failed is not tried again by itself while it can be retried.
    has_failed = operation is not None and operation.state == RunState.FAILED and operation.purged_at is None
    if evaluation is None and not has_failed:  # where it is there, nothing is requested, which would lock the project
        wanted = EvaluationRequest(dataset=job.id, version=name, split=split)
        operation = request_evaluation(platform, wanted).operation if queues else find_evaluation(platform.db, wanted)
        evaluation = _made_by(platform, operation)
    return ComparedVersion(
        row=version,
        name=name,
        dataset=get_job(platform.db, version.job_id) if version.job_id else None,
        operation=operation,
        evaluation=evaluation,
    )


def _made_by(platform: Platform, operation: OperationRow | None) -> EvaluationRow | None:
    """The evaluation that the operation has made, unless it was deleted since."""
    found = ((operation and operation.result) or {}).get("evaluation_id")
    with suppress(EvaluationNotFound, Gone):
        return get_evaluation(platform.db, str(found)) if found else None
    return None
