"""What a dataset was made of, and what was made of it."""

from typing import NamedTuple

from sqlalchemy import or_, select

from core.db import Database
from core.db.tables import JobRow

_LISTED = 50


class Relatives(NamedTuple):
    """Jobs that are not deleted. `children`, newest first: extensions and repairs, 50 at most."""

    parent: JobRow | None
    repaired: JobRow | None
    children: list[JobRow]


def relatives_of(db: Database, job: JobRow) -> Relatives:
    made_of_it = or_(JobRow.parent_job_id == job.id, JobRow.repair_of == job.id)
    with db.reading() as session:
        named = [each for each in (job.parent_job_id, job.repair_of) if each]
        statement = select(JobRow).where(JobRow.id.in_(named), JobRow.deleted_at.is_(None))
        found = {row.id: row for row in session.execute(statement).scalars()} if named else {}
        children = select(JobRow).where(made_of_it, JobRow.deleted_at.is_(None)).order_by(JobRow.id.desc())
        rows = list(session.execute(children.limit(_LISTED)).scalars())
    return Relatives(found.get(job.parent_job_id or ""), found.get(job.repair_of or ""), rows)
