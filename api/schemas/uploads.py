"""JSON of resumable uploads and of the preflight."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas import Links, Timestamp
from api.schemas.jobs import JOB_ID, FindingItem, timestamp
from api.schemas.links import link
from core.db.tables import UploadRow
from core.services.uploads.sessions import DONE


class ResumableUpload(BaseModel):
    """A resumable upload and how much of it is stored."""

    upload_id: str = Field(examples=["upload_01kaj8x3v0q4f7m2n9r5t6w8y1"])
    state: Literal["open", "done", "refused"] = Field(
        description="`open` although `offset` equals `length`: the job is being created; read the state again."
    )
    offset: int = Field(description="Number of bytes stored for good.", examples=[33554432])
    length: int = Field(description="Size of the whole ZIP in bytes.", examples=[41234567])
    name: str = Field(examples=["raccoon"])
    project: str | None = Field(description="The project that its dataset joins.", examples=["raccoons"])
    options: dict[str, Any] = Field(examples=[{"val_fraction": 0.2, "test_fraction": 0.1, "seed": 0}])
    job_id: str | None = Field(description="The job created from the upload; null until then.", examples=[JOB_ID])
    problem: dict[str, Any] | None = Field(description="The problem that it was refused for.")
    created_at: Timestamp
    expires_at: Timestamp
    links: Links


class FormatGuess(BaseModel):
    """The format by the names of the files; their content is read after the upload."""

    name: str | None = Field(examples=["voc"])
    why: str = Field(examples=["200 XML files and 200 images"])


class Preflight(BaseModel):
    """The errors that the upload would be refused for, as far as they can be found in the directory of the ZIP."""

    accepted: bool
    findings: list[FindingItem] = Field(description="At most 1,000; the codes are those of a job's findings.")
    counts: dict[str, int] = Field(description="Findings by code.", examples=[{"archive-parent-path": 2}])
    bytes: int = Field(description="Size of the ZIP.", examples=[41234567])
    entries: int = Field(examples=[402])
    images: int = Field(examples=[200])
    data_files: int = Field(description="Number of files that would be unpacked.", examples=[400])
    data_bytes: int = Field(description="Unpacked size of these files.", examples=[43210987])
    left_out: int = Field(description="Number of files that are not data and would not be unpacked.", examples=[2])
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
        project=row.project,
        options=row.options,
        job_id=row.job_id if done else None,
        problem=row.problem,
        created_at=timestamp(row.created_at),
        expires_at=timestamp(datetime.fromtimestamp(row.expires_at, UTC)),
        links=links,
    )
