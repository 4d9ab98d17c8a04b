"""Importing a dataset from a hub: a new job whose source is a ZIP, which its worker makes of the hub's files."""

from typing import Any

from core.db import Database
from core.db.tables import JobRow
from core.domain.errors import HubOff
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import add_job, new_job_id
from core.services.on_commit import OnCommit, do_nothing
from core.services.work.leases import Claim, report_progress


def import_set(
    platform: Platform, *, name: str, hub_set: dict[str, Any], options: dict[str, Any], on_commit: OnCommit = do_nothing
) -> JobRow:
    """The job that imports `hub_set` (a HubSet). Nothing is asked of the hub here. Raises HubOff."""
    if not platform.settings.hub:
        raise HubOff("This installation does not reach out to a hub (DARKROOM_HUB=false).")
    with platform.db.transaction() as session:
        row = add_job(
            session,
            new_job_id(),
            name=name,
            options=options,
            huggingface=hub_set,
            # What it will be called; its size and digest are known once the ZIP is made.
            source_name=f"{hub_set['repository'].replace('/', '--')}.zip",
            source_bytes=0,
            source_sha256="",
            source_key=None,
        )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, row.id)
    return row


def pin_import(db: Database, claim: Claim, job: JobRow, **known: Any) -> JobRow:
    """Note what the worker found out of the set: the commit, which later attempts keep to. Raises ClaimLost."""
    return report_progress(db, JobRow, claim, huggingface={**(job.huggingface or {}), **known})
