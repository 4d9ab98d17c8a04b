"""What makes datasets grow and keeps their tests honest: corrections, frozen test sets, and exports of datasets."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, index_of
from core.db.tables.exports import UNPURGED

DRAFT = "applied_to IS NULL"
CURRENT = "removed_at IS NULL"


class CorrectionRow(Base):
    """What somebody changed of one image of a dataset. A draft until `applied_to`: the job of the next revision.

    One draft an image: a later one takes its place. Applied, the row stays as it is.
    """

    __tablename__ = "corrections"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    image: Mapped[str] = mapped_column(Text)  # its path in the prepared set
    image_sha256: Mapped[str] = mapped_column(String(64))
    change: Mapped[dict[str, Any]]
    author: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(Text)
    applied_to: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (
        Index("ix_corrections_job_id_id", "job_id", "id"),
        Index("ix_corrections_project_id", "project_id"),
        Index("ix_corrections_applied_to", "applied_to"),
        Index(
            "uq_corrections_draft",
            "job_id",
            "image",
            unique=True,
            sqlite_where=text(DRAFT),
            postgresql_where=text(DRAFT),
        ),
    )


class TestSetRow(Base):
    """The test split of a dataset, frozen for a project. Generations 1, 2, ...; the one without `removed_at` holds.

    `key`: the object that lists its images, by which others are compared with them; `sha256` is that of its bytes.
    """

    __test__ = False  # pytest takes classes of this name for tests
    __tablename__ = "test_sets"
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the dataset
    images: Mapped[int]
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_test_sets_job_id", "job_id"),
        Index(
            "uq_test_sets_current",
            "project_id",
            unique=True,
            sqlite_where=text(CURRENT),
            postgresql_where=text(CURRENT),
        ),
    )


class DatasetExportRow(Base):
    """A dataset written in a format that others read. `losses`: what the format has no place for."""

    __tablename__ = "dataset_exports"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id"), unique=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the dataset
    format: Mapped[str] = mapped_column(String(20))
    options: Mapped[dict[str, Any]]
    losses: Mapped[list[dict[str, Any]]]
    file_name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its object was deleted
    __table_args__ = (
        Index("ix_dataset_exports_job_id_id", "job_id", "id"),
        Index("ix_dataset_exports_project_id", "project_id"),
        index_of(UNPURGED, "ix_dataset_exports_to_purge", "id"),
    )
