"""Runs, the model versions that they publish, and aliases."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.db.base import LIVING, Base, Leased, Resumable, index_of
from core.db.tables.projects import slug_of
from core.domain.states import RUN_LIFECYCLE


class RunRow(Leased, Resumable, Base):
    """A training of one dataset. `progress` is {epoch, epochs, metrics, seconds_left}; it outlives an attempt."""

    __tablename__ = "runs"
    lifecycle = RUN_LIFECYCLE
    public = (
        "state", "stage", "progress", "notes", "problem", "attempt", "version", "stop_requested", "checkpoint_epoch",
        "started_at", "finished_at",
    )  # fmt: skip
    of_attempt = ("stage",)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))  # that of its job
    project: Mapped[str] = column_property(slug_of(project_id), expire_on_flush=False)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    parent_id: Mapped[str | None] = mapped_column(String(40))  # id of the version that it is fine-tuned from
    trainer: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))
    leak: Mapped[dict[str, Any] | None]  # images of the frozen test set that it trains on, as `allow_leak` lets it
    notes: Mapped[dict[str, Any] | None]  # name -> sentence, e.g. where the weights came from
    version: Mapped[int | None]  # the number, once published
    log_key: Mapped[str | None]  # of the newest attempt whose whole log is stored
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    mirror_seq: Mapped[int] = mapped_column(default=0)  # events up to this number are in MLflow
    mirrored_at: Mapped[datetime | None]  # when the ended run was complete in MLflow
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected the last call about it
    purged_at: Mapped[datetime | None]  # when its checkpoints were deleted
    deleted_at: Mapped[datetime | None]  # when its job was deleted
    __table_args__ = (
        Index("ix_runs_job_id_id", "job_id", "id"),
        Index("ix_runs_project_id_id", "project_id", "id", "deleted_at"),
        Index("ix_runs_parent_id", "parent_id"),
        Index("ix_runs_state_id", "state", "id"),
        index_of(LIVING, "ix_runs_living_id", "id"),
        index_of(LIVING, "ix_runs_living_state_id", "state", "id"),
        index_of(f"{LIVING} AND mirrored_at IS NULL", "ix_runs_to_mirror", "id"),
        index_of(f"{LIVING} AND mlflow_refused IS NOT NULL", "ix_runs_refused_by_mlflow", "id"),
        Index("ix_runs_lease_expires_at", "lease_expires_at"),
        Index("ix_runs_updated_at", "updated_at"),
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
    """A published model version, deleted with its job or project, or to free room. Else only `mlflow_...` changes.

    An imported one has no run, no job and no fingerprint.

    Deleted, it keeps its id, its number and the digests of its artifacts: the number is never given again.
    """

    __tablename__ = "versions"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    project: Mapped[str] = column_property(slug_of(project_id), expire_on_flush=False)
    number: Mapped[int]  # v1, v2, ... of the project, no gaps
    origin: Mapped[str] = mapped_column(String(16), server_default="run")  # run | imported
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("versions.id"))  # the version it was fine-tuned from
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # whose dataset it was trained on
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), unique=True)
    operation_id: Mapped[str | None] = mapped_column(ForeignKey("operations.id"), unique=True)  # that imported it
    attempt: Mapped[int]  # of the run or the operation
    trainer: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    leak: Mapped[dict[str, Any] | None]  # images of the frozen test set that it was trained on
    weights_name: Mapped[str] = mapped_column(String(200))  # the artifact that /download/model sends
    # What answers show of each artifact, by name. A list of versions sends this text, and reads no row of an artifact.
    artifacts: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # when its job or project was deleted, or it was itself, to free room
    purged_at: Mapped[datetime | None]  # when its objects were deleted
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))  # of an imported one, which has no RunRow
    mlflow_model_id: Mapped[str | None] = mapped_column(String(64))  # the logged model with its files and results
    mlflow_version: Mapped[str | None] = mapped_column(String(40))
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected it
    mlflow_deleted_at: Mapped[datetime | None]  # when MLflow lost it, alone or with its job or project
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        Index("ix_versions_project_id_id", "project_id", "id", "deleted_at"),
        Index("ix_versions_job_id_id", "job_id", "id"),
        Index("ix_versions_parent_id", "parent_id"),
        index_of(LIVING, "ix_versions_living_id", "id"),
        index_of(f"{LIVING} AND mlflow_version IS NULL", "ix_versions_to_mirror", "project_id", "number"),
        index_of(f"{LIVING} AND mlflow_refused IS NOT NULL", "ix_versions_refused_by_mlflow", "run_id"),
        index_of("deleted_at IS NOT NULL AND purged_at IS NULL", "ix_versions_to_purge", "id"),
        index_of("deleted_at IS NOT NULL AND mlflow_deleted_at IS NULL", "ix_versions_to_delete_in_mlflow", "id"),
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
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    project: Mapped[str] = column_property(slug_of(project_id), expire_on_flush=False)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]
    position: Mapped[int]  # AliasMoveRow.position of the `set` in effect
    moves: Mapped[int] = mapped_column(default=0)  # the newest AliasMoveRow.position
    updated_at: Mapped[datetime]
    mirrored_number: Mapped[int | None]  # the last one sent to MLflow
    __table_args__ = (
        index_of("mirrored_number IS NULL OR mirrored_number != number", "ix_aliases_to_mirror", "project_id", "alias"),
    )


class AliasMoveRow(Base):
    """The history of an alias. Rows are only added."""

    __tablename__ = "alias_moves"
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  # 1, 2, ...
    action: Mapped[str] = mapped_column(String(16))  # set | rollback | remove
    number: Mapped[int]
    position_before: Mapped[int]  # AliasRow.position before this move; 0 at the start
    position_after: Mapped[int]  # and after it: that of the `set` it returned to; its own for a `set`
    at: Mapped[datetime]
