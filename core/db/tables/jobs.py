"""Prepared sets, jobs, and what was found in them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.db.base import LIVING, Base, Leased, index_of
from core.db.tables.projects import slug_of
from core.domain.limits import CLASSES_LISTED
from core.domain.states import JOB_LIFECYCLE


class DatasetRow(Base):
    """A prepared set, shared by all jobs whose upload has its fingerprint. While `state` is live, its object exists."""

    __tablename__ = "datasets"
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    layout_version: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))  # live | deleting
    key: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    index_key: Mapped[str | None]  # of its image index; None: prepared before there was one
    index_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class JobRow(Leased, Base):
    """An upload and the dataset prepared from it. `progress` is {done, total} of the stage."""

    __tablename__ = "jobs"
    lifecycle = JOB_LIFECYCLE
    public = (
        "name", "state", "stage", "progress", "problem", "attempt", "kind", "format", "classes", "images", "findings",
        "exclusions", "fingerprint", "content_fingerprint", "last_version", "started_at", "finished_at", "deleted_at",
    )  # fmt: skip
    of_attempt = ("stage", "progress")

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    project: Mapped[str] = column_property(slug_of(project_id), expire_on_flush=False)
    revision: Mapped[int]  # d1, d2, ... of the project, no gaps
    parent_job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # the dataset that it extends
    name: Mapped[str] = mapped_column(String(200))
    options: Mapped[dict[str, Any]]  # PrepareOptions
    repair_of: Mapped[str | None] = mapped_column(String(40), ForeignKey("jobs.id"))  # the job whose upload it repairs
    huggingface: Mapped[dict[str, Any] | None]  # of an import: HubSet, and what its worker found out of it
    imported_from: Mapped[dict[str, Any] | None]  # of an import by URL, bucket or folder: what was named, and was found
    extension: Mapped[dict[str, Any] | None]  # what is added to `parent_job_id` and taken out of it
    exclusions: Mapped[dict[str, Any] | None]  # the frozen test set that its images were compared with
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
    last_version: Mapped[int] = mapped_column(default=0)  # the newest number of its own versions; 0: none
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its objects were deleted
    erased_at: Mapped[datetime | None]  # when its findings, events and artifacts were deleted
    mlflow_deleted_at: Mapped[datetime | None]  # when its versions and artifacts were deleted in MLflow
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected that
    __table_args__ = (
        UniqueConstraint("project_id", "revision"),
        Index("ix_jobs_project_id_id", "project_id", "id", "deleted_at"),
        Index("ix_jobs_parent_job_id", "parent_job_id"),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_fingerprint_state_id", "fingerprint", "state", "id"),
        index_of(LIVING, "ix_jobs_living_id", "id"),
        index_of("deleted_at IS NOT NULL AND erased_at IS NULL", "ix_jobs_to_erase", "id"),
        index_of("deleted_at IS NOT NULL AND mlflow_deleted_at IS NULL", "ix_jobs_to_delete_in_mlflow", "id"),
        Index("ix_jobs_repair_of", "repair_of"),
        Index("ix_jobs_lease_expires_at", "lease_expires_at"),
        Index("ix_jobs_updated_at", "updated_at"),
    )

    def public_values(self) -> dict[str, Any]:
        return super().public_values() | {"classes": self.classes and self.classes[:CLASSES_LISTED]}


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
    image: Mapped[str | None] = mapped_column(Text)  # the image it is about, by its path in the prepared set
    __table_args__ = (
        index_of("image IS NOT NULL", "ix_findings_job_id_image", "job_id", "image"),
        Index("ix_findings_job_id_code_number", "job_id", "code", "number"),
        Index("ix_findings_job_id_severity_number", "job_id", "severity", "number"),
    )
