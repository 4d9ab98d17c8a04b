"""Extending a dataset: a new job, whose worker writes the next revision as one ZIP of the parent and what is added."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import DatasetRow, JobRow, ProjectRow
from core.domain.errors import Gone, JobNotExtendable, JobNotFound
from core.domain.model_names import dataset_name
from core.domain.states import JobState
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import WRITTEN, add_job, job_in
from core.services.jobs.images import refuse_without_index
from core.services.jobs.names import dataset_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.lookup import project_in
from core.services.projects.names import log_names

log = structlog.get_logger(__name__)

FRACTIONS = {"val_fraction": "val", "test_fraction": "test"}  # options that decide where added images go
EXTENDING: tuple[type[JobNotExtendable | JobNotFound | Gone], ...] = (JobNotExtendable, JobNotFound, Gone)
INPUTS = ("additions", "changes")  # in `extension`: the objects that it is made of
_UNFINISHED = sorted(map(str, (JobState.RECEIVED, JobState.PREPARING, JobState.FAILED)))


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An object that an extension is made of: what is added (a ZIP), or what is corrected (JSON)."""

    key: str
    name: str
    bytes: int
    sha256: str


def find_extendable(platform: Platform, ref: str) -> JobRow:
    """The dataset with this `job_id`, or of this name: `raccoons/d2`. Before anything is sent.

    Raises JobNotFound, Gone, ProjectNotFound, ProjectRenamed, JobNotExtendable, ImageIndexMissing.
    """
    with platform.db.reading() as session:
        parent = dataset_in(session, ref)
        _refuse(session, parent)
        dataset = session.get_one(DatasetRow, parent.fingerprint)
        session.expunge_all()
    if dataset.index_key is None:
        refuse_without_index(platform, parent, dataset)
    return parent


def extend_job(
    platform: Platform,
    job_id: str,
    parent_id: str,
    *,
    name: str,
    options: Mapping[str, Any],
    additions: StoredInput | None = None,
    changes: StoredInput | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Commit the row of the next revision in the project of its parent, then enqueue it. The objects are stored.

    `options`: those that differ from the parent's; the split is always kept. A project of a single upload becomes one
    like any other. Raises JobNotFound, Gone, JobNotExtendable.
    """
    with platform.db.transaction() as session:
        owner = project_in(session, job_in(session, parent_id).project_id, lock=True)
        parent = job_in(session, parent_id, lock=True)
        _refuse(session, parent)
        row = _add(session, owner, parent, job_id, name=name, options=options, additions=additions, changes=changes)
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, job_id)
    log.info("job.received", job_id=job_id, extends=parent_id, **log_names(platform.db, job_id))
    return row


def _refuse(session: Session, parent: JobRow) -> None:
    if parent.state != JobState.READY or parent.fingerprint is None:
        detail = f"The dataset is {parent.state}; only a ready one can be extended."
        raise JobNotExtendable(detail, job_id=parent.id, state=parent.state)
    if parent.source_key is None:
        detail = "The ZIP of the dataset is no longer stored, and its images are needed: upload it again as a whole."
        raise JobNotExtendable(detail, job_id=parent.id)
    if not session.execute(select(exists().where(DatasetRow.fingerprint == parent.fingerprint))).scalar_one():
        raise JobNotExtendable("The prepared dataset is being deleted.", job_id=parent.id)


def _add(
    session: Session,
    owner: ProjectRow,
    parent: JobRow,
    job_id: str,
    *,
    name: str,
    options: Mapping[str, Any],
    additions: StoredInput | None,
    changes: StoredInput | None,
) -> JobRow:
    merged = {**parent.options, **options, "split": "keep"}
    are_requested = not FRACTIONS.keys().isdisjoint(options)
    fractions = {part: merged[option] for option, part in FRACTIONS.items()} if are_requested else None
    first = additions or changes
    assert first is not None  # noqa: S101 - for the type checker
    owner.implicit = False
    return add_job(
        session,
        job_id,
        name=name,
        options=merged,
        owner=owner,
        parent_job_id=parent.id,
        extension={
            "additions": additions and asdict(additions),
            "changes": changes and asdict(changes),
            "fractions": fractions,
        },
        # Of what is added, until the ZIP of the revision is stored.
        source_name=first.name,
        source_bytes=first.bytes,
        source_sha256=first.sha256,
        source_key=None,
    )


def revision_file_name(job: JobRow) -> str:
    return f"{dataset_name(job.project, job.revision).replace('/', '-')}.zip"


def inputs_of(job: JobRow) -> tuple[StoredInput | None, StoredInput | None]:
    """(what is added, what is corrected) of an extension."""
    stored = job.extension or {}
    additions, changes = stored.get("additions"), stored.get("changes")
    return (StoredInput(**additions) if additions else None, StoredInput(**changes) if changes else None)


def needing_inputs() -> tuple[ColumnElement[bool], ...]:
    """Of the jobs whose ZIP is still to be made of what was added: one that failed may be retried, a rejected one
    not."""
    unwritten = JobRow.extension[WRITTEN].as_string().is_(None)
    return (JobRow.extension.is_not(None), unwritten, JobRow.source_key.is_(None), JobRow.state.in_(_UNFINISHED))


def unneeded_inputs(db: Database, job_id: str) -> list[str]:
    """The keys of the objects that an extension was made of, once no row names them."""
    with db.reading() as session:
        row = session.get_one(JobRow, job_id)
        if session.execute(select(JobRow.id).where(JobRow.id == job_id, *needing_inputs())).first() is not None:
            return []
        return [each.key for each in inputs_of(row) if each is not None]


def prepared_parent(db: Database, parent_id: str) -> tuple[JobRow, DatasetRow]:
    """Raises JobNotFound, Gone, JobNotExtendable."""
    with db.reading() as session:
        parent = job_in(session, parent_id)
        _refuse(session, parent)
        return parent, session.get_one(DatasetRow, parent.fingerprint)
