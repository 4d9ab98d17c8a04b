"""After the last fault: wait until nothing is unfinished, and have what failed for want of workers tried again."""

import time
from collections import Counter

from sqlalchemy import select

from benchmarks.chaos.service import Service
from core.db.tables import JobRow, OperationRow, RunRow, UploadRow
from core.domain.errors import OperationNotRetryable
from core.services.jobs.commands import retry_job
from core.services.operations.commands import retry_operation
from core.services.runs.commands import retry_run
from core.services.uploads.sessions import OPEN
from core.services.work.leases import TABLES

SETTLE_SECONDS = 240.0  # in which nothing ends: then the rest is stuck


def settle(service: Service) -> Counter[str]:
    """Returns the problems of the jobs, runs and operations that had failed, each of which has been tried once more."""
    _wait_until_ended(service)
    failed = _failed(service)
    left = [row_id for row_id, _ in failed]
    while left and len(refused := [row_id for row_id in left if not _retry(service, row_id)]) < len(left):
        _wait_until_ended(service)
        left = refused
    return Counter(slug for _, slug in failed)


def _retry(service: Service, row_id: str) -> bool:
    """False: another operation makes the same at this moment."""
    retries = {"job": retry_job, "run": retry_run, "operation": retry_operation}
    try:
        retries[row_id.partition("_")[0]](service.platform, row_id)
    except OperationNotRetryable:
        return False
    return True


def unfinished(service: Service) -> list[str]:
    """Jobs, runs, operations and uploads that have not ended."""
    with service.platform.db.reading() as session:
        found = list(session.execute(select(UploadRow.id).where(UploadRow.state == OPEN)).scalars())
        for table in TABLES.values():
            active = table.state.not_in(sorted(table.lifecycle.ended))
            found += session.execute(select(table.id).where(active)).scalars()
    return found


def _wait_until_ended(service: Service) -> None:
    left, ends = unfinished(service), time.monotonic() + SETTLE_SECONDS
    while left and time.monotonic() < ends:
        service.keep_running(0.5)
        before, left = left, unfinished(service)
        if len(left) < len(before):
            ends = time.monotonic() + SETTLE_SECONDS


def _failed(service: Service) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    with service.platform.db.reading() as session:
        for table in (JobRow, RunRow, OperationRow):
            rows = session.execute(
                select(table.id, table.problem).where(table.state == "failed", table.deleted_at.is_(None))
            )
            found += [(row_id, str((problem or {}).get("slug"))) for row_id, problem in rows]
    return found
