"""What a project stores, by kind: counts and bytes from rows, in two statements, without a list of the store.

`measured_usage` also lists what no row has bytes for: the objects that describe a dataset, and its thumbnails.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, String, bindparam, case, cast, func, literal, literal_column, select, union_all
from sqlalchemy.orm import aliased

from core import clock
from core.db import Database
from core.db.base import UtcDateTime
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
    ProjectRow,
    ProjectSlugRow,
    RunLogRow,
    RunRow,
    TestSetRow,
    UploadPartRow,
    UploadRow,
    VersionRow,
)
from core.domain.keys import described_prefix, thumbnails_prefix
from core.domain.retention import FreeableKind, Retention, retention_of
from core.services.context import Platform
from core.services.jobs.extension import INPUTS, needing_inputs
from core.services.projects.lookup import project_in
from core.services.storage.freeable import Amount, Rows, Scope, freeable_amount, in_turn, total

KINDS = (
    "sources",
    "unfinished_uploads",
    "extension_inputs",
    "prepared_sets",
    "image_indexes",
    "test_sets",
    "dataset_exports",
    "weights",
    "artifacts",
    "checkpoints",
    "logs",
    "exports",
    "bundles",
    "evaluations",
    "batch_predictions",
)

MEASURED = ("metadata", "thumbnails")  # beside KINDS, where the store is listed
_LISTED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """`shared_bytes`: those of them that datasets of other projects use too. `unmeasured`: objects without bytes."""

    kind: str
    count: int
    bytes: int
    shared_bytes: int
    unmeasured: int


@dataclass(frozen=True, slots=True)
class Usage:
    """`stored`: every kind of KINDS, then those of MEASURED where the store was listed.

    `freeable`: what a purge of all kinds would delete, each object once.
    """

    project: ProjectRow
    stored: list[Stored]
    freeable: dict[FreeableKind, Amount]
    retention: Retention


def project_usage(db: Database, ref: str) -> Usage:
    """Raises ProjectNotFound, ProjectRenamed, Gone."""
    with db.reading() as session:
        project = project_in(session, ref)
        retention = retention_of(project.settings)
        found = {row[0]: Stored(*row) for row in session.execute(_stored(), {"project_id": project.id})}
        scope = Scope(project.id, clock.now(), retention.keep_versions)
        amounts = amounts_of(session, list(FreeableKind), scope)
    stored = [found.get(kind, Stored(kind, 0, 0, 0, 0)) for kind in KINDS]
    return Usage(project, stored, amounts, retention)


def measured_usage(platform: Platform, ref: str) -> Usage:
    """With the kinds of MEASURED: one list of the store for each job, and one for each prepared set.

    Raises ProjectNotFound, ProjectRenamed, Gone, Unavailable.
    """
    usage = project_usage(platform.db, ref)
    living = (JobRow.project_id == usage.project.id, JobRow.deleted_at.is_(None))
    with platform.db.reading() as session:
        job_ids = session.execute(select(JobRow.id).where(*living)).scalars().all()
        rows = _sets(usage.project.id, DatasetRow.layout_version, DatasetRow.fingerprint)
        sets = session.execute(rows).all()
    with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
        described = list(pool.map(platform.store.measure, map(described_prefix, job_ids)))
        drawn = list(pool.map(platform.store.measure, [thumbnails_prefix(row[0], row[1]) for row in sets]))
    shared = sum(size for (_, size), row in zip(drawn, sets, strict=True) if row.shared)
    measured = [_measured(kind, found) for kind, found in zip(MEASURED, (described, drawn), strict=True)]
    return replace(usage, stored=[*usage.stored, measured[0], replace(measured[1], shared_bytes=shared)])


def _measured(kind: str, found: Sequence[tuple[int, int]]) -> Stored:
    return Stored(kind, sum(count for count, _ in found), sum(size for _, size in found), 0, 0)


def amounts_of(session: Any, kinds: list[FreeableKind], scope: Scope) -> dict[FreeableKind, Amount]:
    """How much of each kind can be deleted, each object counted once."""
    wanted = {"project_id": scope.project_id, "before": scope.before}
    found = session.execute(_amounts(tuple(kinds), scope.keep_versions, scope.beside_versions), wanted)
    return {FreeableKind(kind): Amount(count, size) for count, size, kind in found}


@lru_cache(maxsize=32)
def _amounts(kinds: tuple[FreeableKind, ...], keep_versions: int, beside_versions: bool) -> Any:
    """With the parameters `project_id` and `before`. Kept, as `_stored` is: to make it takes longer than to run it."""
    project_id: Any = bindparam("project_id", type_=String)
    before: Any = bindparam("before", type_=UtcDateTime)
    scope = Scope(project_id, before, keep_versions, beside_versions)
    counted = []
    for kind, part in in_turn(list(kinds), scope):
        counted.append(freeable_amount(kind, part).add_columns(literal(str(kind))))
    return union_all(*counted)


@lru_cache(maxsize=1)
def _stored() -> Any:
    """With the parameter `project_id`."""
    project_id = bindparam("project_id", type_=String)
    checkpoints = (RunRow.project_id == project_id, RunRow.checkpoint_key.is_not(None), RunRow.deleted_at.is_(None))
    unmeasured = func.count() - func.count(RunRow.checkpoint_bytes)
    logs = (RunRow.project_id == project_id, RunRow.deleted_at.is_(None), RunLogRow.key.is_not(None))
    sources = (JobRow.project_id == project_id, JobRow.source_key.is_not(None), JobRow.deleted_at.is_(None))
    test_sets = TestSetRow.project_id == project_id
    return union_all(
        _of("sources", JobRow.source_bytes).where(*sources),
        _uploads(project_id),
        _extension_inputs(project_id),
        *_prepared(project_id),
        _of("test_sets", TestSetRow.bytes).where(test_sets),
        _living("dataset_exports", DatasetExportRow, project_id),
        _artifacts(project_id),
        _of("checkpoints", RunRow.checkpoint_bytes, unmeasured=unmeasured).where(*checkpoints),
        _of("logs", RunLogRow.total_bytes).join(RunRow, RunRow.id == RunLogRow.run_id).where(*logs),
        _living("exports", ExportRow, project_id),
        _living("bundles", BundleRow, project_id),
        _of("evaluations", EvaluationArtifactRow.bytes)
        .join(EvaluationRow, EvaluationRow.id == EvaluationArtifactRow.evaluation_id)
        .where(EvaluationRow.project_id == project_id, EvaluationRow.deleted_at.is_(None)),
        _of("batch_predictions", BatchPredictionArtifactRow.bytes)
        .join(BatchPredictionRow, BatchPredictionRow.operation_id == BatchPredictionArtifactRow.operation_id)
        .where(BatchPredictionRow.project_id == project_id, BatchPredictionRow.deleted_at.is_(None)),
    )


def _of(kind: str, size: Any, *, shared: Any = None, unmeasured: Any = None) -> Rows:
    none = literal(0)
    return select(
        literal(kind),
        func.count(),
        total(size),
        none if shared is None else shared,
        none if unmeasured is None else unmeasured,
    )


def _living(kind: str, table: Any, project_id: Any) -> Rows:
    return _of(kind, table.bytes).where(table.project_id == project_id, table.deleted_at.is_(None))


def _artifacts(project_id: Any) -> Rows:
    """Two rows from one pass: weights, and the others."""
    is_weights = ArtifactRow.name == VersionRow.weights_name
    # No parameters: PostgreSQL would take those of SELECT and of GROUP BY for different ones.
    kind = case((is_weights, literal_column("'weights'")), else_=literal_column("'artifacts'"))
    counted = select(kind, func.count(), total(ArtifactRow.bytes), literal(0), literal(0))
    living = (VersionRow.project_id == project_id, VersionRow.deleted_at.is_(None))
    of_versions = counted.join(VersionRow, VersionRow.id == ArtifactRow.version_id).where(*living)
    return of_versions.group_by(kind)


def _uploads(project_id: Any) -> Rows:
    """Parts of resumable uploads that name the project, by any of its slugs."""
    slugs = select(ProjectSlugRow.slug).where(ProjectSlugRow.project_id == project_id)
    parts = _of("unfinished_uploads", UploadPartRow.bytes).join(UploadRow, UploadRow.id == UploadPartRow.upload_id)
    return parts.where(UploadRow.state == "open", UploadRow.project.in_(slugs))


def _extension_inputs(project_id: Any) -> Rows:
    """The ZIPs and corrections of which the ZIP of an extension is still to be made."""
    parts = [
        select(cast(JobRow.extension[name, "bytes"].as_string(), BigInteger).label("bytes")).where(
            JobRow.project_id == project_id, JobRow.deleted_at.is_(None), *needing_inputs()
        )
        for name in INPUTS
    ]
    inputs = union_all(*parts).subquery()
    return _of("extension_inputs", inputs.c.bytes).where(inputs.c.bytes.is_not(None))


def _prepared(project_id: Any) -> tuple[Rows, Rows]:
    sets = _sets(project_id, DatasetRow.bytes, DatasetRow.index_bytes).subquery()
    shared = [total(case((sets.c.shared, size), else_=0)) for size in (sets.c.bytes, sets.c.index_bytes)]
    return (
        _of("prepared_sets", sets.c.bytes, shared=shared[0]),
        _of("image_indexes", sets.c.index_bytes, shared=shared[1]).where(sets.c.index_bytes.is_not(None)),
    )


def _sets(project_id: Any, *columns: Any) -> Rows:
    """Of each prepared set once, however many datasets of the project have it: the columns, and `shared`."""
    other = aliased(JobRow)
    own = select(JobRow.fingerprint).where(JobRow.project_id == project_id, JobRow.fingerprint.is_not(None))
    elsewhere = (other.fingerprint == DatasetRow.fingerprint, other.project_id != project_id)
    shared = select(other.id).where(*elsewhere, other.deleted_at.is_(None)).exists().label("shared")
    return select(*columns, shared).where(DatasetRow.fingerprint.in_(own.where(JobRow.deleted_at.is_(None))))
