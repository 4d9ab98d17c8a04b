"""After the last fault: wait until nothing is unfinished, and have what failed for want of workers tried again."""

import time
from collections import Counter

from sqlalchemy import select

from benchmarks.chaos.service import Service
from core.db.tables import JobRow, RunRow, UploadRow
from core.domain.states import JOB_ENDED, RUN_ENDED
from core.services.jobs.commands import retry_job
from core.services.runs.commands import retry_run
from core.services.uploads.sessions import OPEN

SETTLE_SECONDS = 240.0


def settle(service: Service) -> Counter[str]:
    """Returns the problems of the jobs and runs that had failed, each of which has been tried once more."""
    _wait_until_ended(service)
    failed = _failed(service)
    for row_id, _ in failed:
        if row_id.startswith("job_"):
            retry_job(service.platform, row_id)
        else:
            retry_run(service.platform, row_id)
    _wait_until_ended(service)
    return Counter(slug for _, slug in failed)


def unfinished(service: Service) -> list[str]:
    """Jobs, runs and uploads that have not ended."""
    with service.platform.db.reading() as session:
        jobs = session.execute(select(JobRow.id).where(JobRow.state.not_in(sorted(JOB_ENDED)))).scalars()
        runs = session.execute(select(RunRow.id).where(RunRow.state.not_in(sorted(RUN_ENDED)))).scalars()
        uploads = session.execute(select(UploadRow.id).where(UploadRow.state == OPEN)).scalars()
        return [*jobs, *runs, *uploads]


def _wait_until_ended(service: Service) -> None:
    ends = time.monotonic() + SETTLE_SECONDS
    while unfinished(service) and time.monotonic() < ends:
        service.keep_running(0.5)


def _failed(service: Service) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    with service.platform.db.reading() as session:
        for table in (JobRow, RunRow):
            rows = session.execute(
                select(table.id, table.problem).where(table.state == "failed", table.deleted_at.is_(None))
            )
            found += [(row_id, str((problem or {}).get("slug"))) for row_id, problem in rows]
    return found
