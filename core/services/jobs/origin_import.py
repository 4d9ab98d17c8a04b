"""Importing a dataset from a URL, a bucket or a folder: a new job whose source ZIP its worker fetches or makes."""

from typing import Any

import structlog

from core.db import Database
from core.db.tables import JobRow
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import add_job, new_job_id
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.names import log_names
from core.services.work.leases import Claim, report_progress

log = structlog.get_logger(__name__)


def import_origin(
    platform: Platform,
    *,
    name: str,
    source_name: str,
    origin: dict[str, Any],
    options: dict[str, Any],
    project: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Create the job that imports from `origin` (an ImportOrigin that is allowed). Reads nothing of it.

    Raises, of its project, SlugInvalid, ProjectIsImplicit, Gone.
    """
    with platform.db.transaction() as session:
        row = add_job(
            session,
            new_job_id(),
            name=name,
            options=options,
            project=project,
            imported_from=origin,
            source_name=source_name,
            # Size and digest are known once the ZIP is there.
            source_bytes=0,
            source_sha256="",
            source_key=None,
        )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, row.id)
    log.info("job.received", job_id=row.id, imported_from=origin["location"], **log_names(platform.db, row.id))
    return row


def pin_origin(db: Database, claim: Claim, origin: dict[str, Any]) -> JobRow:
    """Record what is known of the origin now. Raises ClaimLost."""
    return report_progress(db, JobRow, claim, imported_from=origin)
