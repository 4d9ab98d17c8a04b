"""Naming the image index that was made of a stored set, and in it the images that older findings are about."""

from collections import Counter
from collections.abc import Collection

from sqlalchemy import select, update

from core.db import Database
from core.db.tables import DatasetRow, FindingRow, JobRow, OperationRow
from core.domain.errors import OperationFailed
from core.services.jobs.lifecycle import LIVE
from core.services.operations.lifecycle import complete_in
from core.services.work.leases import Claim
from core.storage import StoredObject

_ROWS_AT_ONCE = 2000  # 20 ms of SQLite's only writer


def publish_index(
    db: Database, claim: Claim, fingerprint: str, index: StoredObject, result: dict[str, int]
) -> OperationRow:
    """Name the stored index in the set's row and complete the operation. Raises ClaimLost, OperationFailed."""
    live = (DatasetRow.fingerprint == fingerprint, DatasetRow.state == LIVE)
    with db.transaction() as session:
        named = update(DatasetRow).where(*live).values(index_key=index.key, index_bytes=index.bytes)
        if not session.execute(named.returning(DatasetRow.fingerprint)).first():
            raise OperationFailed("The prepared dataset was deleted.", fingerprint=fingerprint)
        return complete_in(session, claim, dict(result))


def name_index(db: Database, fingerprint: str, index: StoredObject) -> None:
    """The same for an index that another operation made on its way, unless the set has one by now."""
    without = (DatasetRow.fingerprint == fingerprint, DatasetRow.state == LIVE, DatasetRow.index_key.is_(None))
    with db.transaction() as session:
        session.execute(update(DatasetRow).where(*without).values(index_key=index.key, index_bytes=index.bytes))


def jobs_of_set(db: Database, fingerprint: str) -> list[str]:
    with db.reading() as session:
        return list(session.execute(select(JobRow.id).where(JobRow.fingerprint == fingerprint)).scalars())


def name_images_of_findings(db: Database, job_id: str, images: Collection[str]) -> None:
    """Where a finding's file is one of `images`, below the folder of the upload that the paths of most begin with.

    Of findings about annotations, the image is not known any more.
    """
    unnamed = (FindingRow.job_id == job_id, FindingRow.image.is_(None))
    with db.reading() as session:
        rows = session.execute(select(FindingRow.number, FindingRow.path).where(*unnamed)).all()
    root = root_of([path for _, path in rows], images)
    found = [
        {"job_id": job_id, "number": number, "image": path[len(root) :]}
        for number, path in rows
        if path.startswith(root) and path[len(root) :] in images
    ]
    for at in range(0, len(found), _ROWS_AT_ONCE):
        with db.transaction() as session:
            session.execute(update(FindingRow), found[at : at + _ROWS_AT_ONCE])


def root_of(paths: Collection[str], images: Collection[str]) -> str:
    """The folder, with a slash at its end, below which most of `paths` are one of `images`; of several the shortest."""
    counts: Counter[str] = Counter()
    for path in paths:
        for root in ("", *(path[: at + 1] for at, char in enumerate(path) if char == "/")):
            counts[root] += path[len(root) :] in images
    return min(counts, key=lambda root: (-counts[root], len(root)), default="")
