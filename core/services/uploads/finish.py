"""The last step of a resumable upload: its pieces become one object, then a job. Bytes, row, bell."""

import structlog

from core.domain.errors import ChecksumMismatch, DarkroomError, Unavailable
from core.domain.keys import upload_key, upload_prefix
from core.services.context import Platform
from core.services.jobs.commands import receive_job
from core.services.uploads.sessions import (
    UploadLease,
    forget_upload,
    get_upload,
    keeping_lease,
    lease_upload,
    mark_done,
    parts_of,
    refuse_upload,
)
from core.storage import ObjectCorrupt, ObjectMissing, StoredObject

log = structlog.get_logger(__name__)


def finish_upload(platform: Platform, upload_id: str) -> None:
    """Make the job of an upload whose last byte has come. Any number of times: it is made once.

    A failure of ours keeps the hold until it runs out, so that whoever tries again does not do so at once.
    Raises UploadNotFound, UploadOffsetDiffers (bytes are missing, or it is done), UploadLocked (another process is at
    it), Gone (refused), Unavailable, OutOfSpace.
    """
    length = get_upload(platform.db, upload_id).length_bytes
    lease, row = lease_upload(platform.db, upload_id, offset=length)
    pieces = [StoredObject(part.key, part.bytes, part.sha256) for part in parts_of(platform.db, upload_id)]
    with keeping_lease(platform.db, lease, alive=lambda: True):
        stored = _join(platform, lease, row.job_id, pieces, sha256=row.sha256)
        if stored is not None:
            receive_job(
                platform,
                row.job_id,
                name=row.name,
                options=row.options,
                source_name=row.source_name,
                source_bytes=stored.bytes,
                source_sha256=stored.sha256,
                on_commit=lambda session, _job: mark_done(session, lease),
            )
            log.info("upload.done", upload_id=upload_id, job_id=row.job_id)
    platform.store.delete_prefix(upload_prefix(upload_id))


def end_upload(platform: Platform, upload_id: str) -> None:
    """Forget an upload and its pieces. A job that it became stays. Raises UploadNotFound."""
    get_upload(platform.db, upload_id)
    forget_upload(platform.db, upload_id)
    platform.store.delete_prefix(upload_prefix(upload_id))


def _join(
    platform: Platform, lease: UploadLease, job_id: str, pieces: list[StoredObject], *, sha256: str | None
) -> StoredObject | None:
    """None when the whole is not what was promised: then the upload is refused."""
    scratch = platform.settings.temp
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        return platform.store.join(
            upload_key(job_id), pieces, sha256=sha256, media_type="application/zip", scratch=scratch
        )
    except ObjectCorrupt as error:
        log.warning("upload.refused", upload_id=lease.upload_id, reason=str(error))
        problem: DarkroomError = ChecksumMismatch("The bytes that are stored are not those that the sha256 promised.")
        refuse_upload(platform.db, lease, problem)
        return None
    except ObjectMissing as error:
        raise Unavailable(f"A piece of the upload is missing from the object store: {error}.") from error
