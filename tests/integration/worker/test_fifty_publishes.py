"""Fifty runs of one job finish at once in ten processes: v1 to v50, no gap, none twice."""

import subprocess
import sys

from core.db import open_database
from core.queue.polling_only import PollingOnly
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.settings import Settings
from core.storage import open_store
from tests.builders.rows import ready_job, running_run, versions_of
from tests.servers.workers import REPOSITORY

RUNS, PROCESSES = 50, 10

PUBLISH = """
import sys
from core.services.work.leases import Claim
from core.services.context import open_platform
from core.settings import Settings
from tests.builders.rows import publish

platform = open_platform(Settings(database_url=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for run_id in sys.argv[2:]:
    publish(platform, Claim(run_id, 1))
"""


def test_fifty_publishes_at_once_give_v1_to_v50(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    platform = Platform(settings, open_database(database_url), open_store(settings), PollingOnly())
    job_id = ready_job(platform).id
    run_ids = [running_run(platform, job_id).id for _ in range(RUNS)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISH, database_url, *run_ids[start::PROCESSES]],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for start in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in processes:  # all at once
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * PROCESSES
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()

    versions = versions_of(platform, job_id)
    assert [version.number for version in versions] == list(range(1, RUNS + 1))
    assert len({version.run_id for version in versions}) == RUNS
    assert get_job(platform.db, job_id).last_version == RUNS
    platform.db.close()
