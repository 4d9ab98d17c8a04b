"""What of a project can be deleted now, by kind: each as rows of (id, number, bytes, at).

Never what an alias points at, what is frozen as a test set, what a living dataset extends, or what unfinished work
needs. The same conditions select what a dry run lists and guard the statement that deletes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, ScalarSelect, Select, cast, false, func, or_, select
from sqlalchemy.orm import aliased

from core.db.tables import (
    AliasRow,
    ArtifactRow,
    BatchPredictionArtifactRow,
    BatchPredictionRow,
    BundleRow,
    CorrectionRow,
    DatasetExportRow,
    EvaluationArtifactRow,
    EvaluationRow,
    ExportRow,
    JobRow,
    OperationRow,
    RunRow,
    TestSetRow,
    VersionRow,
)
from core.domain.retention import KEEP_VERSIONS, FreeableKind
from core.domain.states import RUN_ACTIVE, RUN_ENDED, JobState

Where = tuple[ColumnElement[bool], ...]
Rows = Select[*tuple[Any, ...]]
_NOWHERE = 0  # the number of a removed alias
_ACTIVE, _ENDED = sorted(map(str, RUN_ACTIVE)), sorted(map(str, RUN_ENDED))
_DONE = sorted(map(str, (JobState.READY, JobState.REJECTED)))
# A failed one can be retried, and then needs what it is made of.
_UNFINISHED = sorted(map(str, (JobState.RECEIVED, JobState.PREPARING, JobState.FAILED)))


@dataclass(frozen=True, slots=True)
class Scope:
    """What of which project: what was made, or has ended, before `before`. The newest `keep_versions` stay.

    `beside_versions`: without what goes with a version that can be deleted, where versions are deleted as well.
    """

    project_id: str
    before: datetime
    keep_versions: int = KEEP_VERSIONS
    beside_versions: bool = False


class FreeableRow(NamedTuple):
    """`number`: of the version, or of the dataset; None for a run that published none.

    `bytes` None: stored before bytes of checkpoints were recorded.
    """

    id: str
    number: int | None
    bytes: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    count: int
    bytes: int


def freeable(kind: FreeableKind, scope: Scope) -> Rows:
    """Rows of FreeableRow, in no order."""
    return _SELECTS[kind](scope)


def freeable_amount(kind: FreeableKind, scope: Scope) -> Rows:
    """One row: how many there are, and their bytes."""
    if kind is FreeableKind.VERSIONS:
        return _amount_of_versions(scope)
    rows = freeable(kind, scope).subquery()
    return select(func.count(), total(rows.c.bytes)).select_from(rows)


def total(size: Any) -> Any:
    return cast(func.coalesce(func.sum(size), 0), BigInteger)  # PostgreSQL sums to NUMERIC


def freeable_key(kind: FreeableKind) -> Any:
    """The column of `FreeableRow.id`."""
    return _KEYS[kind]


def conditions(kind: FreeableKind, scope: Scope) -> Where:
    """Of the rows of `freeable`, over the table of that kind alone."""
    return _CONDITIONS[kind](scope)


def in_turn(kinds: list[FreeableKind], scope: Scope) -> list[tuple[FreeableKind, Scope]]:
    """Each kind once, in the order of FreeableKind, so that nothing is counted twice."""
    beside = replace(scope, beside_versions=FreeableKind.VERSIONS in kinds)
    return [(kind, beside) for kind in FreeableKind if kind in kinds]


def frozen_jobs() -> Select[str]:
    """Ids of the jobs whose test split is frozen as the test set of a project."""
    return select(TestSetRow.job_id).where(TestSetRow.removed_at.is_(None))


def drafted_jobs() -> Select[str]:
    """Ids of the jobs with drafts of corrections, which cannot be applied without the source."""
    return select(CorrectionRow.job_id).where(CorrectionRow.applied_to.is_(None))


def _version_conditions(scope: Scope) -> Where:
    return (
        VersionRow.project_id == scope.project_id,
        VersionRow.deleted_at.is_(None),
        VersionRow.created_at < scope.before,
        *_behind(scope),
        VersionRow.id.not_in(_versions_in_work()),
    )


def _behind(scope: Scope) -> Where:
    """Of a version without an alias, older than the newest that stay."""
    newer = aliased(VersionRow)
    living = (newer.project_id == scope.project_id, newer.deleted_at.is_(None))
    oldest_kept = select(newer.number).where(*living).order_by(newer.number.desc())
    limit = oldest_kept.limit(1).offset(max(scope.keep_versions, 1) - 1).scalar_subquery()
    return (VersionRow.number < limit, _unaliased(scope))


def _unaliased(scope: Scope) -> ColumnElement[bool]:
    pointing = (AliasRow.project_id == scope.project_id, AliasRow.number != _NOWHERE)
    return VersionRow.number.not_in(select(AliasRow.number).where(*pointing))


def _versions_in_work() -> Any:
    """Those that an active run is fine-tuned from, and those that an active operation is about."""
    parents = select(RunRow.parent_id).where(RunRow.parent_id.is_not(None), RunRow.state.in_(_ACTIVE))
    about = OperationRow.params["version_id"].as_string()
    return parents.union_all(select(about).where(about.is_not(None), OperationRow.state.in_(_ACTIVE)))


def _of_versions(scope: Scope, column: Any, *which: ColumnElement[bool]) -> Where:
    """What was made of versions that `which` chooses, unless it goes with a version that is deleted as well."""
    mine = select(VersionRow.id).where(VersionRow.project_id == scope.project_id, *which)
    found: Where = (column.in_(mine), column.not_in(_versions_in_work()))
    if scope.beside_versions:
        found += (column.not_in(select(VersionRow.id).where(*_version_conditions(scope))),)
    return found


def _source_conditions(scope: Scope) -> Where:
    child, repair, newer = aliased(JobRow), aliased(JobRow), aliased(JobRow)
    # Each is read once, not once for each job: statistics of columns that are mostly NULL mislead SQLite's planner.
    extended = select(child.parent_job_id).where(child.parent_job_id.is_not(None), child.deleted_at.is_(None))
    repaired = select(repair.repair_of).where(repair.repair_of.is_not(None), repair.state.in_(_UNFINISHED))
    busy = select(OperationRow.job_id).where(OperationRow.job_id.is_not(None), OperationRow.state.in_(_ACTIVE))
    ready = select(newer.id).where(newer.project_id == scope.project_id, newer.state == str(JobState.READY))
    newest = ready.order_by(newer.id.desc()).limit(1).scalar_subquery()  # the next revision extends it
    return (
        JobRow.project_id == scope.project_id,
        JobRow.state.in_(_DONE),
        JobRow.source_key.is_not(None),
        JobRow.finished_at < scope.before,
        or_(newest.is_(None), JobRow.id != newest),
        *(JobRow.id.not_in(ids) for ids in (extended, repaired, drafted_jobs(), busy, frozen_jobs())),
    )


def _checkpoint_conditions(scope: Scope) -> Where:
    return (
        RunRow.project_id == scope.project_id,
        RunRow.deleted_at.is_(None),
        RunRow.state.in_(_ENDED),
        RunRow.checkpoint_key.is_not(None),
        RunRow.finished_at < scope.before,
    )


def _dataset_export_conditions(scope: Scope) -> Where:
    return (*_living(DatasetExportRow, scope), DatasetExportRow.created_at < scope.before)


def _export_conditions(scope: Scope) -> Where:
    failed = (ExportRow.passed == false(), ExportRow.created_at < scope.before)
    return (*_living(ExportRow, scope), *failed, *_of_versions(scope, ExportRow.version_id, _unaliased(scope)))


def _bundle_conditions(scope: Scope) -> Where:
    old = BundleRow.created_at < scope.before
    return (*_living(BundleRow, scope), old, *_of_versions(scope, BundleRow.version_id, _unaliased(scope)))


def _evaluation_conditions(scope: Scope) -> Where:
    old = (EvaluationRow.created_at < scope.before, EvaluationRow.job_id.not_in(frozen_jobs()))
    return (*_living(EvaluationRow, scope), *old, *_of_versions(scope, EvaluationRow.version_id, *_behind(scope)))


def _batch_conditions(scope: Scope) -> Where:
    ended = select(OperationRow.id).where(OperationRow.state.in_(_ENDED), OperationRow.finished_at < scope.before)
    of_row = ended.where(OperationRow.id == BatchPredictionRow.operation_id).exists()
    found: Where = (*_living(BatchPredictionRow, scope), of_row)
    if scope.beside_versions:
        going = select(VersionRow.id).where(*_version_conditions(scope))
        found += (BatchPredictionRow.version_id.not_in(going),)
    return found


def _living(table: Any, scope: Scope) -> Where:
    return (table.project_id == scope.project_id, table.deleted_at.is_(None))


def _versions(scope: Scope) -> Rows:
    """With the bytes of what goes with them."""
    size = _bytes_with_versions(lambda column: column == VersionRow.id)
    return select(VersionRow.id, VersionRow.number, size.label("bytes"), VersionRow.created_at.label("at")).where(
        *_version_conditions(scope)
    )


def _amount_of_versions(scope: Scope) -> Rows:
    """Each table is summed once: its rows for each version in turn would take ten times as long."""
    going = select(VersionRow.id).where(*_version_conditions(scope)).cte("going")
    size = _bytes_with_versions(lambda column: column.in_(select(going.c.id)))
    return select(select(func.count()).select_from(going).scalar_subquery(), size)


def _bytes_with_versions(which: Callable[[Any], ColumnElement[bool]]) -> Any:
    """Of what goes with the versions that `which` chooses, by the column with the id of a version."""
    parts = (
        _sum(ArtifactRow.bytes, which(ArtifactRow.version_id)),
        _sum(ExportRow.bytes, which(ExportRow.version_id), ExportRow.deleted_at.is_(None)),
        _sum(BundleRow.bytes, which(BundleRow.version_id), BundleRow.deleted_at.is_(None)),
        _bytes_of_evaluations(which(EvaluationRow.version_id)),
        _bytes_of_batches(which(BatchPredictionRow.version_id)),
    )
    size: Any = parts[0]
    for part in parts[1:]:
        size = size + part
    return size


def _sources(scope: Scope) -> Rows:
    columns = (JobRow.id, JobRow.revision.label("number"), JobRow.source_bytes.label("bytes"))
    return select(*columns, JobRow.finished_at.label("at")).where(*_source_conditions(scope))


def _checkpoints(scope: Scope) -> Rows:
    columns = (RunRow.id, RunRow.version.label("number"), RunRow.checkpoint_bytes.label("bytes"))
    return select(*columns, RunRow.finished_at.label("at")).where(*_checkpoint_conditions(scope))


def _dataset_exports(scope: Scope) -> Rows:
    revision = select(JobRow.revision).where(JobRow.id == DatasetExportRow.job_id).scalar_subquery()
    columns = (DatasetExportRow.id, revision.label("number"), DatasetExportRow.bytes)
    return select(*columns, DatasetExportRow.created_at.label("at")).where(*_dataset_export_conditions(scope))


def _exports(scope: Scope) -> Rows:
    columns = (ExportRow.id, _number(ExportRow.version_id), ExportRow.bytes, ExportRow.created_at.label("at"))
    return select(*columns).where(*_export_conditions(scope))


def _bundles(scope: Scope) -> Rows:
    key, number = BundleRow.operation_id.label("id"), _number(BundleRow.version_id)
    return select(key, number, BundleRow.bytes, BundleRow.created_at.label("at")).where(*_bundle_conditions(scope))


def _evaluations(scope: Scope) -> Rows:
    size = _sum(EvaluationArtifactRow.bytes, EvaluationArtifactRow.evaluation_id == EvaluationRow.id)
    columns = (EvaluationRow.id, _number(EvaluationRow.version_id), size.label("bytes"))
    return select(*columns, EvaluationRow.created_at.label("at")).where(*_evaluation_conditions(scope))


def _batches(scope: Scope) -> Rows:
    own = BatchPredictionArtifactRow.operation_id == BatchPredictionRow.operation_id
    size = _sum(BatchPredictionArtifactRow.bytes, own)
    columns = (BatchPredictionRow.operation_id.label("id"), _number(BatchPredictionRow.version_id), size.label("bytes"))
    return select(*columns, BatchPredictionRow.created_at.label("at")).where(*_batch_conditions(scope))


def _number(version_id: Any) -> ColumnElement[int]:
    return select(VersionRow.number).where(VersionRow.id == version_id).scalar_subquery().label("number")


def _sum(column: Any, *where: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(total(column)).where(*where).scalar_subquery()


def _bytes_of_evaluations(which: ColumnElement[bool]) -> ScalarSelect[int]:
    owner = EvaluationArtifactRow.evaluation_id == EvaluationRow.id
    return _sum(EvaluationArtifactRow.bytes, owner, which, EvaluationRow.deleted_at.is_(None))


def _bytes_of_batches(which: ColumnElement[bool]) -> ScalarSelect[int]:
    owner = BatchPredictionArtifactRow.operation_id == BatchPredictionRow.operation_id
    return _sum(BatchPredictionArtifactRow.bytes, owner, which, BatchPredictionRow.deleted_at.is_(None))


_SELECTS: Mapping[FreeableKind, Callable[[Scope], Rows]] = {
    FreeableKind.VERSIONS: _versions,
    FreeableKind.SOURCES: _sources,
    FreeableKind.CHECKPOINTS: _checkpoints,
    FreeableKind.DATASET_EXPORTS: _dataset_exports,
    FreeableKind.EXPORTS: _exports,
    FreeableKind.BUNDLES: _bundles,
    FreeableKind.EVALUATIONS: _evaluations,
    FreeableKind.BATCH_PREDICTIONS: _batches,
}
_CONDITIONS: Mapping[FreeableKind, Callable[[Scope], Where]] = {
    FreeableKind.VERSIONS: _version_conditions,
    FreeableKind.SOURCES: _source_conditions,
    FreeableKind.CHECKPOINTS: _checkpoint_conditions,
    FreeableKind.DATASET_EXPORTS: _dataset_export_conditions,
    FreeableKind.EXPORTS: _export_conditions,
    FreeableKind.BUNDLES: _bundle_conditions,
    FreeableKind.EVALUATIONS: _evaluation_conditions,
    FreeableKind.BATCH_PREDICTIONS: _batch_conditions,
}
_KEYS: Mapping[FreeableKind, Any] = {
    FreeableKind.VERSIONS: VersionRow.id,
    FreeableKind.SOURCES: JobRow.id,
    FreeableKind.CHECKPOINTS: RunRow.id,
    FreeableKind.DATASET_EXPORTS: DatasetExportRow.id,
    FreeableKind.EXPORTS: ExportRow.id,
    FreeableKind.BUNDLES: BundleRow.operation_id,
    FreeableKind.EVALUATIONS: EvaluationRow.id,
    FreeableKind.BATCH_PREDICTIONS: BatchPredictionRow.operation_id,
}
