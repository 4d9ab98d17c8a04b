"""Resumable uploads."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base


class UploadRow(Base):
    """A resumable upload. Its parts are objects, so that any API process can accept the next one."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))  # open | done (its job exists) | refused
    name: Mapped[str] = mapped_column(String(200))
    source_name: Mapped[str] = mapped_column(String(400))
    options: Mapped[dict[str, Any]]  # PrepareOptions
    project: Mapped[str | None] = mapped_column(String(64))  # the slug that its job's project shall have
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
