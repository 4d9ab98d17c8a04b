"""Resumable uploads and the preflight as their users see them."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas import Links, Timestamp
from api.schemas.jobs import JOB_ID, FindingItem, timestamp
from api.schemas.links import link
from core.db.tables import UploadRow
from core.services.uploads.sessions import DONE


class ResumableUpload(BaseModel):
    upload_id: str = Field(examples=["upload_01kaj8x3v0q4f7m2n9r5t6w8y1"])
    state: Literal["open", "done", "refused"] = Field(
        description="`open` with all bytes there: they are being put together; ask again."
    )
    offset: int = Field(description="Bytes that are stored for good.", examples=[33554432])
    length: int = Field(examples=[41234567])
    name: str = Field(examples=["raccoon"])
    options: dict[str, Any] = Field(examples=[{"val_fraction": 0.2, "test_fraction": 0.1, "seed": 0}])
    job_id: str | None = Field(description="Once it is done.", examples=[JOB_ID])
    problem: dict[str, Any] | None = Field(description="Why it was refused.")
    created_at: Timestamp
    expires_at: Timestamp
    links: Links


class FormatGuess(BaseModel):
    """By the names alone: what the files say is read after the upload."""

    name: str | None = Field(examples=["voc"])
    why: str = Field(examples=["200 XML files and 200 images"])


class Preflight(BaseModel):
    """What the upload would be refused for, as far as the directory of the ZIP tells."""

    accepted: bool
    findings: list[FindingItem] = Field(description="At most 1,000; the codes are those of a job's findings.")
    counts: dict[str, int] = Field(description="Findings by code.", examples=[{"archive-parent-path": 2}])
    bytes: int = Field(description="Of the ZIP.", examples=[41234567])
    entries: int = Field(examples=[402])
    images: int = Field(examples=[200])
    data_files: int = Field(description="What would be unpacked.", examples=[400])
    data_bytes: int = Field(description="Their size unpacked.", examples=[43210987])
    left_out: int = Field(description="Files that are no data; they stay packed.", examples=[2])
    format: FormatGuess


def resumable_upload(row: UploadRow) -> ResumableUpload:
    done = row.state == DONE
    links = {"self": link(f"/uploads/{row.id}")} | ({"job": link(f"/jobs/{row.job_id}")} if done else {})
    return ResumableUpload(
        upload_id=row.id,
        state=row.state,
        offset=row.received_bytes,
        length=row.length_bytes,
        name=row.name,
        options=row.options,
        job_id=row.job_id if done else None,
        problem=row.problem,
        created_at=timestamp(row.created_at),
        expires_at=timestamp(datetime.fromtimestamp(row.expires_at, UTC)),
        links=links,
    )
