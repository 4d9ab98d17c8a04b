"""Importing a dataset from a hub: a new job whose source ZIP its worker makes of the hub's files."""

from typing import Any

import structlog

from core.db import Database
from core.db.tables import JobRow
from core.domain.errors import HubOff
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import add_job, new_job_id
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.names import log_names
from core.services.work.leases import Claim, report_progress

log = structlog.get_logger(__name__)

KIND = "classification"  # of every dataset that is imported: images with class labels


def import_set(
    platform: Platform,
    *,
    name: str,
    hub_set: dict[str, Any],
    options: dict[str, Any],
    project: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Create the job that imports `hub_set` (a HubSet). Sends no request to the hub.

    Raises HubOff, and of its project SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone.
    """
    if not platform.settings.hub:
        raise HubOff("Downloads from a hub are switched off here (DARKROOM_HUB=false).")
    with platform.db.transaction() as session:
        row = add_job(
            session,
            new_job_id(),
            name=name,
            options=options,
            project=project,
            kind=KIND,
            huggingface=hub_set,
            # Its future name; size and digest are known once the ZIP is made.
            source_name=f"{hub_set['repository'].replace('/', '--')}.zip",
            source_bytes=0,
            source_sha256="",
            source_key=None,
        )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, row.id)
    log.info("job.received", job_id=row.id, imported_from=hub_set["repository"], **log_names(platform.db, row.id))
    return row


def pin_import(db: Database, claim: Claim, job: JobRow, **known: Any) -> JobRow:
    """Record facts about the imported set, such as the commit that later attempts use too. Raises ClaimLost."""
    return report_progress(db, JobRow, claim, huggingface={**(job.huggingface or {}), **known})
