"""What the service itself keeps: events, idempotency keys, locks, workers, totals."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base


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


class SessionRow(Base):
    """A browser that gave the token. Its secret is in its cookie alone."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    token_digest: Mapped[str] = mapped_column(String(64))  # of the token that was given: another one ends the session
    label: Mapped[str] = mapped_column(String(80))  # `Firefox, Linux`
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]  # to the hour
    expires_at: Mapped[float]  # the database's clock
    __table_args__ = (Index("ix_sessions_expires_at", "expires_at"),)


class WorkerRow(Base):
    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))  # prepare | train | operations | housekeeping
    seen_at: Mapped[float]  # the database's clock
    devices: Mapped[dict[str, Any] | None]  # what it computes on, once it has found out


class TotalRow(Base):
    """A figure of /metrics that only grows (core/db/totals.py)."""

    __tablename__ = "totals"
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    labels: Mapped[str] = mapped_column(String(200), primary_key=True)  # JSON, sorted by name
    value: Mapped[float]
