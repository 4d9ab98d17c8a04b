"""Fifty runs of the jobs of one project finish at once in eight processes: numbers without a gap, none given twice.

Between them are runs that lost their claim, and runs of a job that is deleted meanwhile.
"""

import subprocess
import sys
from collections.abc import Sequence

from sqlalchemy import select

from core.db import open_database
from core.db.tables import VersionRow
from core.queue.polling_only import PollingOnly
from core.services.context import Platform
from core.services.jobs.commands import delete_job
from core.services.models.versions import list_versions
from core.services.projects.lookup import project_in
from core.settings import Settings
from core.storage import open_store
from tests.builders.rows import ready_job, running_run
from tests.servers.workers import REPOSITORY

PROJECT = "raccoons"
RUNS, JOBS, PROCESSES = 50, 5, 8

PUBLISH = """
import sys
from contextlib import suppress
from core.services.work.leases import Claim, ClaimLost
from core.services.context import open_platform
from core.settings import Settings
from tests.builders.rows import publish

platform = open_platform(Settings(database_url=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for claim in sys.argv[2:]:
    run_id, attempt = claim.split("#")
    with suppress(ClaimLost):
        publish(platform, Claim(run_id, int(attempt)))
"""


def test_fifty_publishes_at_once_leave_no_gap(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    platform = Platform(settings, open_database(database_url), open_store(settings), PollingOnly())
    jobs = [ready_job(platform, project=PROJECT).id for _ in range(JOBS)]
    runs = [running_run(platform, jobs[number % JOBS]).id for number in range(RUNS)]
    lost = [running_run(platform, jobs[0]).id for _ in range(PROCESSES)]
    deleted = ready_job(platform, project=PROJECT).id
    of_deleted = [running_run(platform, deleted).id for _ in range(PROCESSES)]
    processes = [
        _start(
            database_url,
            [
                *(f"{run_id}#1" for run_id in runs[number::PROCESSES]),
                f"{lost[number]}#2",  # another attempt has it
                f"{of_deleted[number]}#1",
            ][:: 1 if number % 2 else -1],  # half of them publish for the job before it is deleted, or try to
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in processes:  # all at once
        assert process.stdin is not None
        process.stdin.close()
    delete_job(platform, deleted, cancel=True)
    assert [process.wait(120) for process in processes] == [0] * PROCESSES
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()

    with platform.db.reading() as session:
        last = project_in(session, PROJECT).last_version
        numbers = list(session.execute(select(VersionRow.number).order_by(VersionRow.number)).scalars())
    assert numbers == list(range(1, last + 1))
    listed = list_versions(platform.db, ref=PROJECT, cursor=None, limit=100).items
    assert sorted(str(version.run_id) for version in listed) == sorted(runs)
    assert RUNS <= last <= RUNS + PROCESSES
    platform.db.close()


def _start(database_url: str, claims: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH, database_url, *claims],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
