"""What is made of a model version later: exports, evaluations and bundles.

Each row is written once, by the operation that made it, and names the objects it stored. Deleted, it keeps its id and
the digests; its objects are deleted after it, and then `purged_at` is set.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import LIVING, Base, index_of

UNPURGED = "deleted_at IS NOT NULL AND purged_at IS NULL"


class ExportRow(Base):
    """A file that runs without the framework of its version, and the certificate of what it answers.

    `options` are those of the request; `passed` is the certificate's. One that did not pass is kept and not served.
    """

    __tablename__ = "exports"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id"), unique=True)
    format: Mapped[str] = mapped_column(String(20))
    precision: Mapped[str] = mapped_column(String(10))
    options: Mapped[dict[str, Any]]
    file_name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
    passed: Mapped[bool]
    certificate: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its object was deleted
    __table_args__ = (
        Index("ix_exports_version_id_id", "version_id", "id"),
        Index("ix_exports_project_id", "project_id"),
        index_of(UNPURGED, "ix_exports_to_purge", "id"),
    )


class EvaluationRow(Base):
    """A version, or an export of it, on a split of a dataset. It goes with its version and with its dataset."""

    __tablename__ = "evaluations"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"))
    export_id: Mapped[str | None] = mapped_column(ForeignKey("exports.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))  # that of the version
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))  # the dataset
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the dataset
    split: Mapped[str] = mapped_column(String(10))
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id"), unique=True)
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its objects were deleted
    __table_args__ = (
        Index("ix_evaluations_project_id_id", "project_id", "id", "deleted_at"),
        Index("ix_evaluations_version_id_id", "version_id", "id"),
        Index("ix_evaluations_job_id_id", "job_id", "id"),
        Index("ix_evaluations_export_id", "export_id"),
        index_of(LIVING, "ix_evaluations_living_id", "id"),
        index_of(UNPURGED, "ix_evaluations_to_purge", "id"),
    )


class EvaluationArtifactRow(Base):
    """A file of an evaluation: its report, its figures, its images."""

    __tablename__ = "evaluation_artifacts"
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))


class BundleRow(Base):
    """The ZIP with everything about a version, written once. `contents` lists its files with their digests."""

    __tablename__ = "bundles"
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    export_id: Mapped[str] = mapped_column(ForeignKey("exports.id"))  # the ONNX in it
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id"), unique=True)
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    contents: Mapped[list[dict[str, Any]]]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its object was deleted
    __table_args__ = (
        Index("ix_bundles_export_id", "export_id"),
        Index("ix_bundles_project_id", "project_id"),
        index_of(UNPURGED, "ix_bundles_to_purge", "version_id"),
    )
