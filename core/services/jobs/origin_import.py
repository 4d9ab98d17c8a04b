"""A new job whose source ZIP its worker fetches or makes: of a URL, a bucket, a folder, another dataset, a sample."""

from collections.abc import Mapping
from typing import Any

import structlog

from core.db import Database
from core.db.tables import JobRow
from core.domain.errors import SourceNotReusable
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import add_job, job_in, new_job_id
from core.services.jobs.names import dataset_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.lookup import join_project, lock_projects, project_in
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
    kind: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Create the job that imports from `origin` (an ImportOrigin that is allowed). Reads nothing of it. `kind`: of the
    dataset, where that is known.

    Raises, of its project, SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone.
    """
    with platform.db.transaction() as session:
        row = add_job(
            session,
            new_job_id(),
            name=name,
            options=options,
            project=project,
            kind=kind,
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


def prepare_again(
    platform: Platform,
    ref: str,
    *,
    options: Mapping[str, Any],
    name: str | None = None,
    project: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Create the job that prepares the stored ZIP of a dataset once more: by its `job_id` or its name (`raccoons/d2`).

    `options`: valid ones, in place of those of that dataset. `project`: by default that of the dataset; of a single
    upload, one of its own. Raises JobNotFound, Gone, ProjectNotFound, ProjectRenamed, SourceNotReusable, and of
    `project` SlugInvalid, ProjectIsImplicit, ProjectKindMismatch.
    """
    with platform.db.transaction() as session:
        found = dataset_in(session, ref)
        lock_projects(session, found.project_id, *([project] if project else []))
        owner = project_in(session, found.project_id, lock=True)
        slug = project or (None if owner.implicit else owner.slug)
        joined = join_project(session, slug, kind=found.kind) if slug else None
        before = job_in(session, found.id, lock=True)
        _refuse(before)
        row = add_job(
            session,
            new_job_id(),
            name=name or before.name,
            options=dict(options),
            owner=joined,
            huggingface=before.huggingface,
            imported_from={"kind": "dataset", "location": before.id, "sha256": before.source_sha256},
            # The same bytes, which its worker copies.
            source_name=before.source_name,
            source_bytes=before.source_bytes,
            source_sha256=before.source_sha256,
            source_key=None,
        )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, row.id)
    log.info("job.received", job_id=row.id, imported_from=before.id, **log_names(platform.db, row.id))
    return row


def options_of(platform: Platform, ref: str) -> dict[str, Any]:
    """With which a dataset was prepared. Raises as `prepare_again`."""
    with platform.db.reading() as session:
        before = dataset_in(session, ref)
        _refuse(before)
        return before.options


def _refuse(job: JobRow) -> None:
    if job.extension:
        detail = "It extends another dataset, and its ZIP holds the splits of that one: correct what was added instead."
        raise SourceNotReusable(detail, job_id=job.id)
    if job.source_key is None:
        raise SourceNotReusable("Its ZIP is not stored: upload it again.", job_id=job.id)


def pin_origin(db: Database, claim: Claim, origin: dict[str, Any]) -> JobRow:
    """Record what is known of the origin now. Raises ClaimLost."""
    return report_progress(db, JobRow, claim, imported_from=origin)
