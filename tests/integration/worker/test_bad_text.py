"""Text and numbers that a database or a decoder cannot take: the job is rejected with findings, never failed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.services.jobs.commands import list_findings
from tests.builders.bad_text import BadText, cases, write
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job

KINDS = (
    "coco class '\\x00'",
    "coco class '\\ud800'",
    "coco category id",
    "coco number 1e99999999999999999999",
    "yolo line '\\x00'",
    "yaml class b'\\\\ud800'",
    "file name NUL",
    "folders C1",
)


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.mark.parametrize(
    "database_url",
    [pytest.param("sqlite", marks=pytest.mark.slow), pytest.param("postgres", marks=pytest.mark.integration)],
    indirect=True,
)
def test_the_job_is_rejected_with_the_finding_on_every_database(line: Stack, tmp_path: Path) -> None:
    worker = Worker(line.platform, "prepare", "test")
    chosen = {case.name: case for case in cases() if case.name in KINDS}
    assert set(chosen) == set(KINDS)
    jobs = {name: prepared(line, worker, case, tmp_path) for name, case in chosen.items()}
    states = {name: (line.job(job_id).state, line.job(job_id).problem) for name, job_id in jobs.items()}
    assert {state for state, _ in states.values()} == {"rejected"}, states
    for name, job_id in jobs.items():
        found = list_findings(line.platform.db, job_id, cursor=None, limit=100, code=chosen[name].code).items
        assert found and found[0].path.startswith(chosen[name].path), name


def prepared(line: Stack, worker: Worker, case: BadText, folder: Path) -> str:
    job_id = line.upload(write(case, folder))
    prepare_job(worker, job_id)
    return job_id
