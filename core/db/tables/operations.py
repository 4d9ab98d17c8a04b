"""What happens in the background and is neither the preparation of a job nor a run."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import LIVING, Base, Leased, index_of
from core.domain.states import OPERATION_LIFECYCLE

WANTED = "target IS NOT NULL AND state IN ('queued', 'running')"
UNPURGED = "purged_at IS NULL"
UNCONDENSED = "condensed_at IS NULL"


class OperationRow(Leased, Base):
    """A piece of work in the background. `kind` names what is done, `params` are its input, valid.

    `target` is what it makes; one operation at a time makes it.
    """

    __tablename__ = "operations"
    lifecycle = OPERATION_LIFECYCLE
    public = ("state", "stage", "progress", "problem", "result", "attempt", "started_at", "finished_at")
    of_attempt = ("stage", "progress")

    kind: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    target: Mapped[str | None] = mapped_column(String(200))
    purged_at: Mapped[datetime | None]  # when its objects were deleted: it cannot be retried any more
    condensed_at: Mapped[datetime | None]  # when one event took the place of all
    deleted_at: Mapped[datetime | None]  # when its job or project was deleted
    __table_args__ = (
        Index(
            "uq_operations_kind_target",
            "kind",
            "target",
            unique=True,
            sqlite_where=text(WANTED),
            postgresql_where=text(WANTED),
        ),
        Index("ix_operations_kind_target_id", "kind", "target", "id"),
        Index("ix_operations_state_id", "state", "id"),
        Index("ix_operations_project_id_id", "project_id", "id"),
        Index("ix_operations_job_id_id", "job_id", "id"),
        index_of(LIVING, "ix_operations_living_id", "id"),
        index_of(LIVING, "ix_operations_living_kind_id", "kind", "id"),
        index_of(LIVING, "ix_operations_living_state_id", "state", "id"),
        index_of(UNPURGED, "ix_operations_unpurged_id", "id"),
        index_of(UNCONDENSED, "ix_operations_uncondensed_finished_at", "finished_at"),
        index_of(f"{UNCONDENSED} AND deleted_at IS NOT NULL", "ix_operations_to_erase_id", "id"),
        Index("ix_operations_lease_expires_at", "lease_expires_at"),
        Index("ix_operations_updated_at", "updated_at"),
    )
