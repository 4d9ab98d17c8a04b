"""The images of a ready job: which of them its findings name, and the making of an image index that is missing."""

from collections.abc import Sequence
from typing import NoReturn

from sqlalchemy import bindparam, exists, literal, select, union_all

from core.db import Database
from core.db.tables import DatasetRow, FindingRow, JobRow, OperationRow
from core.domain.errors import ImageIndexMissing
from core.domain.limits import MAX_FINDINGS_OF_CODE
from core.domain.states import RunState
from core.services.context import Platform
from core.services.operations.commands import newest_operation, queue_operation
from core.services.operations.kinds import IMAGE_INDEX

IMAGE_FINDINGS = 100
_NAMED = (
    select(FindingRow.image)
    .where(
        FindingRow.job_id == bindparam("job_id"),
        FindingRow.code == bindparam("code"),
        FindingRow.image.is_not(None),
    )
    .order_by(FindingRow.number)
    .limit(MAX_FINDINGS_OF_CODE + 1)
)
_CODES = (
    select(FindingRow.image, FindingRow.code)
    .where(
        FindingRow.job_id == bindparam("job_id"),
        FindingRow.image.is_not(None),
        FindingRow.image.in_(bindparam("images", expanding=True)),
    )
    .distinct()
)


def images_with_finding(db: Database, job_id: str, code: str) -> set[str]:
    """Paths in the prepared set."""
    with db.reading() as session:
        # As rows of the connection: thousands of them as rows of the session take three times as long.
        rows = session.connection().execute(_NAMED, {"job_id": job_id, "code": code})
        return {path for path in rows.scalars().all() if path is not None}


def codes_of_images(db: Database, job_id: str, paths: Sequence[str]) -> dict[str, list[str]]:
    """The codes of the findings about each of `paths`, sorted; nothing for an image without one."""
    codes: dict[str, list[str]] = {}
    with db.reading() as session:
        for path, code in session.execute(_CODES, {"job_id": job_id, "images": list(paths)}):
            codes.setdefault(str(path), []).append(code)
    return {path: sorted(found) for path, found in codes.items()}


def codes_with_images(db: Database, job: JobRow) -> list[str]:
    """The codes of its findings about images of the prepared set, sorted; others are about what was left out."""
    codes = sorted(job.findings or {})
    if not codes:
        return []
    of_images = (FindingRow.job_id == job.id, FindingRow.image.is_not(None))
    # Each code ends at its first row: a job has up to 10,000 of each.
    found = (select(literal(code)).where(exists().where(*of_images, FindingRow.code == code)) for code in codes)
    with db.reading() as session:
        return sorted(session.execute(union_all(*found)).scalars())


def findings_of_image(db: Database, job_id: str, path: str) -> list[FindingRow]:
    """In the order in which they were found; the first IMAGE_FINDINGS."""
    mine = (FindingRow.job_id == job_id, FindingRow.image == path)
    statement = select(FindingRow).where(*mine).order_by(FindingRow.number).limit(IMAGE_FINDINGS)
    with db.reading() as session:
        return list(session.execute(statement).scalars())


def refuse_without_index(platform: Platform, job: JobRow, dataset: DatasetRow) -> NoReturn:
    """Have the index of a set made that was prepared before there was one. Raises ImageIndexMissing.

    One that failed is not tried again by itself while it can be retried.
    """
    operation = newest_operation(platform.db, IMAGE_INDEX, dataset.fingerprint)
    if operation is None or not _is_of_use(operation):
        params = {"fingerprint": dataset.fingerprint}
        operation = queue_operation(platform, IMAGE_INDEX, params, job_id=job.id, target=dataset.fingerprint)
    links = {"operation": f"/operations/{operation.id}"}
    detail = "The dataset was prepared before there were image indexes; its index is being made."
    if operation.state == RunState.FAILED:
        detail = "The image index of the dataset could not be made; see the operation."
        links["retry"] = f"/operations/{operation.id}/retry"
    raise ImageIndexMissing(detail, job_id=job.id, operation_id=operation.id, state=str(operation.state), links=links)


def _is_of_use(operation: OperationRow) -> bool:
    """It makes the index, or can be retried."""
    if operation.deleted_at is not None:  # with its job; other jobs share the set
        return False
    can_be_retried = operation.state == RunState.FAILED and operation.purged_at is None
    return can_be_retried or operation.state in (RunState.QUEUED, RunState.RUNNING)
