"""Predictions of many images at once: what was requested, and the files that the operation stored."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import LIVING, Base, index_of
from core.db.tables.exports import UNPURGED


class BatchPredictionRow(Base):
    """One request, written with its operation. It goes with its version, and with the dataset it is about.

    `summary`: counts, written when the operation succeeds. Deleted, it keeps its ids; its objects are deleted after it.
    """

    __tablename__ = "batch_predictions"
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id"), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"))
    export_id: Mapped[str] = mapped_column(ForeignKey("exports.id"))  # what predicts
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))  # that of the version
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # the dataset, where its images are predicted
    summary: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # when its objects were deleted
    __table_args__ = (
        Index("ix_batch_predictions_project_id_operation_id", "project_id", "operation_id", "deleted_at"),
        Index("ix_batch_predictions_version_id_operation_id", "version_id", "operation_id"),
        Index("ix_batch_predictions_job_id_operation_id", "job_id", "operation_id"),
        index_of(LIVING, "ix_batch_predictions_living_operation_id", "operation_id"),
        index_of(UNPURGED, "ix_batch_predictions_to_purge", "operation_id"),
    )


class BatchPredictionArtifactRow(Base):
    """A file of predictions: JSON Lines, CSV, COCO, the labelled ZIP."""

    __tablename__ = "batch_prediction_artifacts"
    operation_id: Mapped[str] = mapped_column(ForeignKey("batch_predictions.operation_id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
