"""The last step of a resumable upload: its parts become one object, then a job."""

from contextlib import closing

import structlog
from sqlalchemy.orm import Session

from core.db.tables import JobRow, UploadRow
from core.domain.errors import JOINING, ChecksumMismatch, DarkroomError, Unavailable
from core.domain.keys import upload_key, upload_prefix
from core.services.context import Platform
from core.services.jobs.commands import receive_job
from core.services.jobs.extension import EXTENDING, StoredInput, extend_job
from core.services.projects.names import log_names
from core.services.uploads.room import UploadRoom
from core.services.uploads.sessions import (
    EXTENDS,
    UploadLease,
    delete_upload_rows,
    get_upload,
    lease_upload,
    mark_done,
    parts_of,
    refuse_upload,
    renewing_lease,
)
from core.storage import ObjectCorrupt, ObjectMissing, StoredObject

log = structlog.get_logger(__name__)


def finish_upload(platform: Platform, upload_id: str) -> None:
    """Create the job of a complete upload. Called any number of times, it creates one.

    After a failure of the store or the database the lease stays until it expires, which delays the next attempt.
    Raises UploadNotFound, UploadOffsetDiffers (bytes are missing, or it is done), UploadLocked (another process has the
    lease), Gone (refused), Unavailable, OutOfSpace.
    """
    length = get_upload(platform.db, upload_id).length_bytes
    lease, row = lease_upload(platform.db, upload_id, offset=length)
    parts = [StoredObject(part.key, part.bytes, part.sha256) for part in parts_of(platform.db, upload_id)]
    granted = UploadRoom(platform).for_joining(row)
    with closing(granted), renewing_lease(platform.db, lease):
        stored = _join(platform, lease, row.job_id, parts, sha256=row.sha256)
        if stored is not None:
            _receive(platform, lease, row, stored)
    platform.store.delete_prefix(upload_prefix(upload_id))


def discard_upload(platform: Platform, upload_id: str) -> None:
    """Delete an upload and its parts. A job created from it stays. Raises UploadNotFound."""
    get_upload(platform.db, upload_id)
    delete_upload_rows(platform.db, upload_id)
    platform.store.delete_prefix(upload_prefix(upload_id))


def _receive(platform: Platform, lease: UploadLease, row: UploadRow, stored: StoredObject) -> None:
    """Create the job, unless its project has been deleted since the upload began: then the upload is refused."""
    try:
        _create(platform, lease, row, stored)
        log.info("upload.done", upload_id=row.id, job_id=row.job_id, **log_names(platform.db, row.job_id))
    except (*JOINING, *EXTENDING) as error:
        log.warning("upload.refused", upload_id=row.id, reason=error.detail)
        refuse_upload(platform.db, lease, error)
        platform.store.delete_prefix(stored.key)


def _create(platform: Platform, lease: UploadLease, row: UploadRow, stored: StoredObject) -> None:
    def on_commit(session: Session, _job: JobRow) -> None:
        mark_done(session, lease)

    options = dict(row.options)
    if extends := options.pop(EXTENDS, None):
        additions = StoredInput(stored.key, row.source_name, stored.bytes, stored.sha256)
        extend_job(
            platform, row.job_id, extends, name=row.name, options=options, additions=additions, on_commit=on_commit
        )
        return
    receive_job(
        platform,
        row.job_id,
        name=row.name,
        options=options,
        source_name=row.source_name,
        source_bytes=stored.bytes,
        source_sha256=stored.sha256,
        project=row.project,
        on_commit=on_commit,
    )


def _join(
    platform: Platform, lease: UploadLease, job_id: str, parts: list[StoredObject], *, sha256: str | None
) -> StoredObject | None:
    """Join the parts to one object. None: its sha256 is not the promised one, and the upload is refused."""
    key, scratch = upload_key(job_id), platform.settings.temp
    try:
        return platform.store.join(key, parts, sha256=sha256, media_type="application/zip", scratch=scratch)
    except ObjectCorrupt as error:
        log.warning("upload.refused", upload_id=lease.upload_id, reason=str(error))
        problem: DarkroomError = ChecksumMismatch(
            "The sha256 of the uploaded bytes differs from the one in Upload-Metadata: start a new upload."
        )
        refuse_upload(platform.db, lease, problem)
        return None
    except ObjectMissing as error:
        raise Unavailable(f"A part of the upload is missing from the object store: {error}.") from error
