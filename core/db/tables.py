"""The tables. Rows are snapshots: sessions do not expire them, and every change is an UPDATE with guards."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Leased, Resumable
from core.domain.limits import CLASSES_LISTED
from core.domain.states import JOB_LIFECYCLE, RUN_LIFECYCLE


def _index_of(rows: str, name: str, *columns: str) -> Index:
    """An index of the rows that a condition names, which a query repeats to use it."""
    return Index(name, *columns, sqlite_where=text(rows), postgresql_where=text(rows))


_LIVING = "deleted_at IS NULL"


class DatasetRow(Base):
    """A prepared set, shared by all jobs whose upload has its fingerprint. While `state` is live, its object exists."""

    __tablename__ = "datasets"
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    layout_version: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))  # live | deleting
    key: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class JobRow(Leased, Base):
    """An upload and the dataset prepared from it. `progress` is {done, total} of the stage."""

    __tablename__ = "jobs"
    lifecycle = JOB_LIFECYCLE
    public = (
        "name", "state", "stage", "progress", "problem", "attempt", "kind", "format", "classes", "images", "findings",
        "fingerprint", "content_fingerprint", "last_version", "started_at", "finished_at", "deleted_at",
    )  # fmt: skip
    of_attempt = ("stage", "progress")

    name: Mapped[str] = mapped_column(String(200))
    options: Mapped[dict[str, Any]]  # PrepareOptions
    repair_of: Mapped[str | None] = mapped_column(String(40), ForeignKey("jobs.id"))  # the job whose upload it repairs
    huggingface: Mapped[dict[str, Any] | None]  # of an import: HubSet, and what its worker found out of it
    source_name: Mapped[str] = mapped_column(String(400))
    source_bytes: Mapped[int] = mapped_column(BigInteger)
    source_sha256: Mapped[str] = mapped_column(String(64))
    source_key: Mapped[str | None]  # None before its worker has made the ZIP, and once retention has deleted it
    kind: Mapped[str | None] = mapped_column(String(40))  # detection
    format: Mapped[str | None] = mapped_column(String(40))  # voc
    classes: Mapped[list[str] | None]
    images: Mapped[int | None]
    findings: Mapped[dict[str, Any] | None]  # code -> {severity, count}
    fingerprint: Mapped[str | None] = mapped_column(ForeignKey("datasets.fingerprint"))
    content_fingerprint: Mapped[str | None] = mapped_column(String(64))
    metadata_key: Mapped[str | None]
    metadata_sha256: Mapped[str | None] = mapped_column(String(64))
    last_version: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its objects were deleted
    erased_at: Mapped[datetime | None]  # when its findings, events and artifacts were deleted
    mlflow_deleted_at: Mapped[datetime | None]  # when its model and artifacts were deleted in MLflow
    __table_args__ = (
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_fingerprint_state_id", "fingerprint", "state", "id"),
        _index_of(_LIVING, "ix_jobs_living_id", "id"),
        _index_of("deleted_at IS NOT NULL AND erased_at IS NULL", "ix_jobs_to_erase", "id"),
        _index_of("deleted_at IS NOT NULL AND mlflow_deleted_at IS NULL", "ix_jobs_to_delete_in_mlflow", "id"),
        Index("ix_jobs_repair_of", "repair_of"),
        Index("ix_jobs_lease_expires_at", "lease_expires_at"),
    )

    def public_values(self) -> dict[str, Any]:
        return super().public_values() | {"classes": self.classes and self.classes[:CLASSES_LISTED]}


class UploadRow(Base):
    """A resumable upload. Its parts are objects, so that any API process can accept the next one."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))  # open | done (its job exists) | refused
    name: Mapped[str] = mapped_column(String(200))
    source_name: Mapped[str] = mapped_column(String(400))
    options: Mapped[dict[str, Any]]  # PrepareOptions
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    received_bytes: Mapped[int] = mapped_column(BigInteger)  # stored permanently: the protocol's offset
    sha256: Mapped[str | None] = mapped_column(String(64))  # of the whole, where the client announced it
    client_metadata: Mapped[str | None] = mapped_column(Text)  # Upload-Metadata as the client sent it
    job_id: Mapped[str] = mapped_column(String(40))  # of the job it becomes, chosen at the start
    problem: Mapped[dict[str, Any] | None]
    holder: Mapped[str | None] = mapped_column(String(32))  # one request at a time
    lease_expires_at: Mapped[float | None]  # the database's clock
    expires_at: Mapped[float]  # the database's clock
    created_at: Mapped[datetime]
    __table_args__ = (Index("ix_uploads_state_expires_at", "state", "expires_at"),)


class UploadPartRow(Base):
    __tablename__ = "upload_parts"
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # offset of its first byte
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(unique=True)


class FindingRow(Base):
    __tablename__ = "findings"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)  # 1, 2, ... in the order they were found
    code: Mapped[str] = mapped_column(String(80))
    severity: Mapped[str] = mapped_column(String(16))
    path: Mapped[str] = mapped_column(Text)
    line: Mapped[int | None]
    detail: Mapped[str] = mapped_column(Text)
    remedy: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        Index("ix_findings_job_id_code_number", "job_id", "code", "number"),
        Index("ix_findings_job_id_severity_number", "job_id", "severity", "number"),
    )


class RunRow(Leased, Resumable, Base):
    """A training of one dataset. `progress` is {epoch, epochs, metrics, seconds_left}; it outlives an attempt."""

    __tablename__ = "runs"
    lifecycle = RUN_LIFECYCLE
    public = (
        "state", "stage", "progress", "notes", "problem", "attempt", "version", "stop_requested", "checkpoint_epoch",
        "started_at", "finished_at",
    )  # fmt: skip
    of_attempt = ("stage",)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    trainer: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))
    notes: Mapped[dict[str, Any] | None]  # name -> sentence, e.g. where the weights came from
    version: Mapped[int | None]  # the number, once published
    log_key: Mapped[str | None]  # of the newest attempt whose whole log is stored
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    mirror_seq: Mapped[int] = mapped_column(default=0)  # events up to this number are in MLflow
    mirrored_at: Mapped[datetime | None]  # when the ended run was complete in MLflow
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected the last call about it
    purged_at: Mapped[datetime | None]  # when its checkpoints were deleted
    deleted_at: Mapped[datetime | None]  # when its job was deleted
    __table_args__ = (
        Index("ix_runs_job_id_id", "job_id", "id"),
        Index("ix_runs_state_id", "state", "id"),
        _index_of(_LIVING, "ix_runs_living_id", "id"),
        _index_of(_LIVING, "ix_runs_living_state_id", "state", "id"),
        _index_of(f"{_LIVING} AND mirrored_at IS NULL", "ix_runs_to_mirror", "id"),
        _index_of(f"{_LIVING} AND mlflow_refused IS NOT NULL", "ix_runs_refused_by_mlflow", "id"),
        Index("ix_runs_lease_expires_at", "lease_expires_at"),
    )


class RunLogRow(Base):
    """The log of one attempt at a run: its tail while it runs, then the object with the whole log.

    The tail stays where the whole log was not stored: the worker was killed, or the store did not answer.
    """

    __tablename__ = "run_logs"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    tail: Mapped[bytes]  # empty once `key` is set
    total_bytes: Mapped[int] = mapped_column(BigInteger)  # length of the log when `tail` was read
    updated_at: Mapped[datetime]


class VersionRow(Base):
    """A published model version, deleted with its job only. After publishing only `mlflow_...` changes.

    Deleted, it keeps its id, its number and the digests of its artifacts: the number is never given again.
    """

    __tablename__ = "versions"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    number: Mapped[int]  # v1, v2, ... no gaps
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), unique=True)
    attempt: Mapped[int]
    trainer: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))
    weights_name: Mapped[str] = mapped_column(String(200))  # the artifact that /download/model sends
    # What answers show of each artifact, by name. A list of versions sends this text, and reads no row of an artifact.
    artifacts: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # when its job was deleted
    mlflow_version: Mapped[str | None] = mapped_column(String(40))
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected it
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        Index("ix_versions_job_id_id", "job_id", "id"),
        _index_of(_LIVING, "ix_versions_living_id", "id"),
        _index_of(f"{_LIVING} AND mlflow_version IS NULL", "ix_versions_to_mirror", "job_id", "number"),
        _index_of(f"{_LIVING} AND mlflow_refused IS NOT NULL", "ix_versions_refused_by_mlflow", "run_id"),
    )


class ArtifactRow(Base):
    __tablename__ = "artifacts"
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))


class AliasRow(Base):
    """The version that an alias points at; `number` 0: none, the alias was removed.

    `position` is its place in the history, from which a rollback goes back.
    """

    __tablename__ = "aliases"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]
    position: Mapped[int]  # AliasMoveRow.position of the `set` in effect
    moves: Mapped[int] = mapped_column(default=0)  # the newest AliasMoveRow.position
    updated_at: Mapped[datetime]
    mirrored_number: Mapped[int | None]  # the last one sent to MLflow


class AliasMoveRow(Base):
    """The history of an alias. Rows are only added."""

    __tablename__ = "alias_moves"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  # 1, 2, ...
    action: Mapped[str] = mapped_column(String(16))  # set | rollback | remove
    number: Mapped[int]
    position_before: Mapped[int]  # AliasRow.position before this move; 0 at the start
    position_after: Mapped[int]  # and after it: that of the `set` it returned to; its own for a `set`
    at: Mapped[datetime]


class EventRow(Base):
    """One change of a job or a run, as a merge patch of what polling returns."""

    __tablename__ = "events"
    subject_id: Mapped[str] = mapped_column(String(40), primary_key=True)  # a job's or a run's id
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(20))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class IdempotencyRow(Base):
    __tablename__ = "idempotency_keys"
    method: Mapped[str] = mapped_column(String(8), primary_key=True)
    path: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str | None] = mapped_column(String(64))  # of the request, once its body was read
    status: Mapped[int | None]  # None: in flight
    answer: Mapped[dict[str, Any] | None]
    expires_at: Mapped[float]  # the database's clock


class LockRow(Base):
    """A named lease, for what one process at a time may do: the sweep, the MLflow sync."""

    __tablename__ = "locks"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[float]


class WorkerRow(Base):
    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))  # prepare | train | housekeeping
    seen_at: Mapped[float]  # the database's clock


class TotalRow(Base):
    """A figure of /metrics that only grows (core/db/totals.py)."""

    __tablename__ = "totals"
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    labels: Mapped[str] = mapped_column(String(200), primary_key=True)  # JSON, sorted by name
    value: Mapped[float]


METADATA = Base.metadata  # of every table above
