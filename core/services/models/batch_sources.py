"""The images of a batch: of a dataset, of a ZIP, or of URLs; named in a request, recorded by ids and digests."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from core.db.tables import JobRow, UploadRow
from core.domain.errors import Gone, UploadNotFound, UploadOffsetDiffers
from core.domain.model_names import dataset_name
from core.domain.not_ready import not_ready
from core.services.jobs.commands import job_in
from core.services.jobs.names import dataset_in
from core.services.models.refs import is_job

ZIP_INPUT, URLS_INPUT = "images.zip", "urls.json"  # what a request sends, in its operation's input
_DONE = "done"  # of an upload: its job has all bytes


@dataclass(frozen=True, slots=True)
class Source:
    """`job_id`: of the dataset, or of the job whose ZIP it is. `sha256`: of what the request sent, or of that ZIP."""

    kind: Literal["dataset", "upload", "urls"]
    job_id: str | None = None
    dataset: str | None = None  # raccoons/d2
    fingerprint: str | None = None
    split: str | None = None
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    count: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BatchImages:
    """One of: `dataset`, a job's id or `raccoons/d2`, perhaps one `split` of it; `upload`, the id of a resumable upload
    or of the job that it became, whose ZIP is meant; `sent`, which lies in the operation's input."""

    dataset: str | None = None
    split: str | None = None
    upload: str | None = None
    sent: Source | None = None


def source_in(session: Session, images: BatchImages) -> Source:
    """Raises JobNotFound, ProjectNotFound, Gone, JobNotReady, UploadNotFound, UploadOffsetDiffers."""
    if images.sent is not None:
        return images.sent
    if images.upload is not None:
        return _of_upload(session, images.upload)
    job = dataset_in(session, str(images.dataset))
    if job.fingerprint is None or job.kind is None:
        raise not_ready(job.id, job.state)
    named = dataset_name(job.project, job.revision)
    return Source("dataset", job.id, dataset=named, fingerprint=job.fingerprint, split=images.split)


def _of_upload(session: Session, upload: str) -> Source:
    job = _uploaded(session, upload)
    if job.source_key is None:
        raise Gone("The ZIP of this upload is not stored any more.", job_id=job.id)
    return Source("upload", job.id, name=job.source_name, bytes=job.source_bytes, sha256=job.source_sha256)


def _uploaded(session: Session, upload: str) -> JobRow:
    if is_job(upload):
        return job_in(session, upload)
    row = session.get(UploadRow, upload)
    if row is None:
        raise UploadNotFound(f"There is no upload {upload[:80]}.", upload_id=upload[:80])
    if row.state != _DONE:
        detail = f"The upload is not complete: {row.received_bytes} of {row.length_bytes} bytes have arrived."
        raise UploadOffsetDiffers(detail, upload_id=row.id, offset=row.received_bytes, length=row.length_bytes)
    return job_in(session, row.job_id)
