"""Corrections of single images: drafts with author and time, and the next revision that is made of them.

One draft an image: a later one takes its place. Applied, it stays as it is, with the job that it became part of; where
that job is rejected or deleted before it is ready, it is a draft again.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import CorrectionRow, JobRow
from core.domain.errors import Conflict, CorrectionNotFound, NothingToApply
from core.domain.ids import new_id
from core.domain.keys import corrections_key
from core.services.context import Platform
from core.services.jobs.commands import job_in, new_job_id
from core.services.jobs.extension import StoredInput, extend_job, find_extendable
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of

log = structlog.get_logger(__name__)

DRAFT, APPLIED = "draft", "applied"
ACCEPT = "accept"  # the key of a change that leaves an image as it is
KINDS = ("boxes", "label", "remove", ACCEPT)
_IDS_AT_ONCE = 500
CHANGES_NAME = "corrections.json"
_ORDERED = CorrectionRow.id

StoreChanges = Callable[[str, bytes], StoredInput]  # (key, JSON) -> the stored object


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """`change`: `boxes` or `label` as they are to be, `remove` or `accept`; it fits the dataset."""

    image: str
    image_sha256: str
    change: Mapping[str, Any]
    note: str


class Saved(NamedTuple):
    """Numbers of corrections: new or changed, the same as before, and all drafts of the dataset."""

    job: JobRow
    saved: int
    unchanged: int
    drafts: int


def save_corrections(
    db: Database, job_id: str, corrections: Sequence[NewCorrection], *, author: str, on_commit: OnCommit = do_nothing
) -> Saved:
    """As drafts, each in place of the one that its image has. Raises JobNotFound, Gone."""
    with db.transaction() as session:
        job = job_in(session, job_id, lock=True)
        before = {row.image: row for row in session.execute(_drafts(job_id)).scalars()}
        at = clock.now()
        new: list[dict[str, Any]] = []
        unchanged = 0
        for each in {correction.image: correction for correction in corrections}.values():
            row = before.get(each.image)
            if row is None:
                values = {"job_id": job_id, "project_id": job.project_id, "created_at": at, "updated_at": at}
                text = {"image": each.image, "image_sha256": each.image_sha256, "author": author, "note": each.note}
                new.append({"id": new_id("correction", clock.now_ms()), **values, **text, "change": dict(each.change)})
            elif (row.change, row.note) == (dict(each.change), each.note):
                unchanged += 1
            else:
                row.change, row.note, row.author, row.updated_at = dict(each.change), each.note, author, at
        if new:
            session.execute(insert(CorrectionRow), new)
        saved = len({each.image for each in corrections}) - unchanged
        result = Saved(job, saved, unchanged, len(before) + len(new))
        on_commit(session, result)
    return result


def list_corrections(
    db: Database, job_id: str, *, cursor: str | None, limit: int, state: str | None = None, image: str | None = None
) -> Page[CorrectionRow]:
    """In the order in which they were made. `state`: draft or applied. Raises JobNotFound, Gone."""
    with db.reading() as session:
        job_in(session, job_id)
        statement = select(CorrectionRow).where(CorrectionRow.job_id == job_id)
        if state is not None:
            is_draft = CorrectionRow.applied_to.is_(None)
            statement = statement.where(is_draft if state == DRAFT else ~is_draft)
        if image is not None:
            statement = statement.where(CorrectionRow.image == image)
        return page_of(session, statement, _ORDERED, cursor=cursor, limit=limit)


def drafts_of_images(db: Database, job_id: str, images: Sequence[str]) -> dict[str, CorrectionRow]:
    """The drafts of these images, some hundred at most, by their paths."""
    with db.reading() as session:
        rows = session.execute(_drafts(job_id).where(CorrectionRow.image.in_(images))).scalars()
        return {row.image: row for row in rows}


def number_of_drafts(db: Database, job_id: str) -> int:
    with db.reading() as session:
        return session.execute(_drafts(job_id).with_only_columns(func.count()).order_by(None)).scalar_one()


def count_drafts(db: Database, job_id: str) -> Counter[str]:
    """By what they do: `boxes`, `label`, `remove` or `accept`."""
    with db.reading() as session:
        changes = session.execute(_drafts(job_id).with_only_columns(CorrectionRow.change)).scalars()
        return Counter(next(kind for kind in KINDS if kind in change) for change in changes)


def discard_correction(db: Database, job_id: str, correction_id: str) -> None:
    """Raises JobNotFound, Gone, CorrectionNotFound (also where it is applied)."""
    with db.transaction() as session:
        job_in(session, job_id, lock=True)  # nothing applies them meanwhile
        mine = (CorrectionRow.id == correction_id, CorrectionRow.job_id == job_id, CorrectionRow.applied_to.is_(None))
        if session.execute(delete(CorrectionRow).where(*mine).returning(CorrectionRow.id)).first() is None:
            raise CorrectionNotFound(f"There is no draft {correction_id[:80]} of this dataset.", job_id=job_id)


def discard_corrections(db: Database, job_id: str) -> int:
    """All drafts of a dataset; returns their number. Raises JobNotFound, Gone."""
    with db.transaction() as session:
        job_in(session, job_id, lock=True)  # as above
        drafts = (CorrectionRow.job_id == job_id, CorrectionRow.applied_to.is_(None))
        return len(session.execute(delete(CorrectionRow).where(*drafts).returning(CorrectionRow.id)).all())


def apply_corrections(
    platform: Platform, job_id: str, store: StoreChanges, *, name: str | None = None, on_commit: OnCommit = do_nothing
) -> JobRow:
    """The job of the next revision, made of all drafts, which it takes along.

    Raises what `find_extendable` raises; NothingToApply; Conflict where a draft changed meanwhile.
    """
    parent = find_extendable(platform, job_id)
    with platform.db.reading() as session:
        rows = list(session.execute(_drafts(parent.id)).scalars())
        drafts = {row.id: row.updated_at for row in rows}
        changes = {row.image: _named(row.change) for row in rows if ACCEPT not in row.change}
    if not changes:
        why = f"{len(drafts)} drafts accept images as they are." if drafts else "There is no draft."
        raise NothingToApply(f"{why} Add a correction that changes an image.", job_id=parent.id, drafts=len(drafts))
    revision_id = new_job_id()
    stored = store(corrections_key(revision_id), json.dumps(changes, ensure_ascii=False).encode())

    def take_drafts(session: Session, job: JobRow) -> None:
        _take(session, job, drafts)
        on_commit(session, job)

    title = name or f"{parent.name[:189]} (corrected)"
    row = extend_job(platform, revision_id, parent.id, name=title, options={}, changes=stored, on_commit=take_drafts)
    log.info("corrections.applied", job_id=row.id, corrections=len(drafts))
    return row


def _drafts(job_id: str) -> Select[CorrectionRow]:
    drafts = (CorrectionRow.job_id == job_id, CorrectionRow.applied_to.is_(None))
    return select(CorrectionRow).where(*drafts).order_by(_ORDERED)


def _named(change: Mapping[str, Any]) -> dict[str, Any]:
    """With `label` for the class of a box, as a child reads it."""
    if "boxes" not in change:
        return dict(change)
    return {
        "boxes": [{"label" if key == "class" else key: value for key, value in box.items()} for box in change["boxes"]]
    }


def _take(session: Session, job: JobRow, drafts: Mapping[str, Any]) -> None:
    """All drafts as they were read, and no others."""
    left = session.execute(select(func.count()).select_from(_drafts(str(job.parent_job_id)).subquery())).scalar_one()
    taken = 0
    ids = sorted(drafts)
    for at in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[at : at + _IDS_AT_ONCE]
        rows = session.execute(select(CorrectionRow).where(CorrectionRow.id.in_(part))).scalars()
        for row in rows:
            if row.applied_to is None and row.updated_at == drafts[row.id]:
                row.applied_to = job.id
                taken += 1
    if taken != len(drafts) or left != len(drafts):
        raise Conflict("The drafts changed while they were applied; try again.", job_id=str(job.parent_job_id))
