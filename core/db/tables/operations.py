"""What happens in the background and is neither the preparation of a job nor a run."""

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Leased
from core.domain.states import OPERATION_LIFECYCLE


class OperationRow(Leased, Base):
    """A piece of work in the background. `kind` names the task that does it, `params` are its input, valid."""

    __tablename__ = "operations"
    lifecycle = OPERATION_LIFECYCLE
    public = ("kind", "state", "stage", "progress", "problem", "result", "attempt", "started_at", "finished_at")
    of_attempt = ("stage", "progress")

    kind: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    __table_args__ = (
        Index("ix_operations_state_id", "state", "id"),
        Index("ix_operations_project_id_id", "project_id", "id"),
        Index("ix_operations_job_id_id", "job_id", "id"),
        Index("ix_operations_lease_expires_at", "lease_expires_at"),
    )
