"""Fifty runs of the jobs of one project finish at once in eight processes: numbers without a gap, none given twice.

Between them are runs that lost their claim, and runs of a job that is deleted meanwhile.
"""

import json
import subprocess
import sys

from sqlalchemy import select

from core.db import open_database
from core.db.tables import VersionRow
from core.queue.polling_only import PollingOnly
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.models.versions import list_versions
from core.services.projects.lookup import project_in
from core.settings import Settings
from core.storage import open_store
from tests.builders.rows import ready_job, running_run
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.workers import REPOSITORY

PROJECT = "raccoons"
RUNS, JOBS, PROCESSES = 50, 5, 8

# Forks of one process, which imports once.
PUBLISH = """
import json
import os
import sys
from contextlib import suppress
from core.services.work.leases import Claim, ClaimLost
from core.services.context import open_platform
from core.settings import Settings
from tests.builders.rows import publish


def publish_all(database_url, claims):
    platform = open_platform(Settings(database_url=database_url))
    os.write(1, b"ready\\n")
    sys.stdin.readline()
    for claim in claims:
        run_id, attempt = claim.split("#")
        with suppress(ClaimLost):
            publish(platform, Claim(run_id, int(attempt)))


forks = []
for claims in json.loads(sys.argv[2]):
    if pid := os.fork():
        forks.append(pid)
    else:
        publish_all(sys.argv[1], claims)
        sys.exit()
print(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in forks))
"""


@POSTGRES_IS_SLOW
def test_fifty_publishes_at_once_leave_no_gap(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    platform = Platform(settings, open_database(database_url), open_store(settings), PollingOnly())
    jobs = [ready_job(platform, project=PROJECT).id for _ in range(JOBS)]
    runs = [running_run(platform, jobs[number % JOBS]).id for number in range(RUNS)]
    lost = [running_run(platform, jobs[0]).id for _ in range(PROCESSES)]
    deleted = ready_job(platform, project=PROJECT).id
    of_deleted = [running_run(platform, deleted).id for _ in range(PROCESSES)]
    claims = [
        [
            *(f"{run_id}#1" for run_id in runs[number::PROCESSES]),
            f"{lost[number]}#2",  # another attempt has it
            f"{of_deleted[number]}#1",
        ][:: 1 if number % 2 else -1]  # half of them publish for the job before it is deleted, or try to
        for number in range(PROCESSES)
    ]
    command = [sys.executable, "-c", PUBLISH, database_url, json.dumps(claims)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPOSITORY, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        assert [process.stdout.readline() for _ in claims] == [b"ready\n"] * PROCESSES
        process.stdin.close()  # all at once
        delete_job(platform, deleted, cancel=True)
        assert process.stdout.read().split() == [b"0"] * PROCESSES

    with platform.db.reading() as session:
        last = project_in(session, PROJECT).last_version
        numbers = list(session.execute(select(VersionRow.number).order_by(VersionRow.number)).scalars())
    assert numbers == list(range(1, last + 1))
    listed = list_versions(platform.db, ref=PROJECT, cursor=None, limit=100).items
    assert sorted(str(version.run_id) for version in listed) == sorted(runs)
    assert RUNS <= last <= RUNS + PROCESSES
    platform.db.close()
