"""A repair: a job made from the upload of another, by the real children, on both databases."""

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from core.db.tables import JobRow
from core.domain.errors import JobNotRepairable
from core.services.jobs.commands import list_findings, retry_job
from core.services.jobs.deletion import delete_job
from core.services.jobs.repair import list_repairs, repair_job
from pipeline.archive.source import REPAIR_LOG
from tests.builders.roles import labelled_yolo
from tests.builders.voc import XML, image_bytes, voc_files, voc_zip, zip_files
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Iterator[Worker]:
    yield Worker(line.platform, "prepare", "test")
    # The threads of a lease keeper end a moment after it: before that the database cannot be closed.
    for thread in threading.enumerate():
        if thread.name in ("keep_heartbeat", "keep_polling"):
            thread.join(10)


def _rejected(line: Stack, worker: Worker, tmp_path: Path) -> str:
    job_id = line.upload(voc_zip(tmp_path / "balls.zip", broken="box_inverted"))
    prepare_job(worker, job_id)
    assert line.job(job_id).state == "rejected"
    return job_id


@POSTGRES_IS_SLOW
def test_a_rejected_upload_becomes_a_ready_job_with_a_log(line: Stack, worker: Worker, tmp_path: Path) -> None:
    broken = _rejected(line, worker, tmp_path)
    new = repair_job(line.platform, broken)
    assert repair_job(line.platform, broken).id == new.id, "requested twice, done once"
    prepare_job(worker, new.id)

    job = line.job(new.id)
    assert (job.state, job.images, job.classes) == ("ready", 12, ["ball", "cube"]), job.problem
    assert (job.source_name, job.repair_of) == ("balls-repaired.zip", broken)
    changes = list_repairs(line.platform.db, new.id, cursor=None, limit=100).items
    assert [(row.code, row.path, row.line) for row in changes] == [("repair-box-swapped", XML, changes[0].line)]
    assert (job.findings or {})["repair-box-swapped"] == {"severity": "note", "count": 1}
    fetched = tmp_path / "fetched.zip"
    assert line.platform.store.fetch(str(job.source_key), fetched).sha256 == job.source_sha256
    with zipfile.ZipFile(fetched) as archive:
        assert REPAIR_LOG in archive.namelist()
    assert line.job(broken).state == "rejected", "what was repaired stays as it is"
    assert repair_job(line.platform, broken).id == new.id


@pytest.mark.slow
def test_a_repair_reads_with_the_background_option_of_the_upload(line: Stack, worker: Worker, tmp_path: Path) -> None:
    files = labelled_yolo(4) | {f"images/train/bare{n}.jpg": image_bytes(seed=100 + n) for n in range(6)}
    archive = zip_files(tmp_path / "data.zip", files)
    images = {}
    for option in ("unlabelled", "auto"):
        job_id = line.upload(archive, background=option)
        prepare_job(worker, job_id)
        new = repair_job(line.platform, job_id)
        prepare_job(worker, new.id)
        images[option] = line.job(new.id).images
    assert images == {"unlabelled": 10, "auto": 4}


@POSTGRES_IS_SLOW
def test_a_repair_of_a_hostile_archive_is_rejected_as_the_upload_was(
    line: Stack, worker: Worker, tmp_path: Path
) -> None:
    job_id = line.upload(zip_files(tmp_path / "data.zip", voc_files() | {"../../etc/passwd": b"x"}))
    prepare_job(worker, job_id)
    new = repair_job(line.platform, job_id)
    prepare_job(worker, new.id)
    job = line.job(new.id)
    assert (job.state, (job.problem or {})["slug"]) == ("rejected", "archive-refused")
    assert list_findings(line.platform.db, new.id, cursor=None, limit=10).items


@POSTGRES_IS_SLOW
def test_what_has_not_ended_or_is_no_longer_kept_cannot_be_repaired(
    line: Stack, worker: Worker, tmp_path: Path
) -> None:
    waiting = line.upload(voc_zip(tmp_path / "waiting.zip"))
    with pytest.raises(JobNotRepairable, match="received"):
        repair_job(line.platform, waiting)
    swept = _rejected(line, worker, tmp_path)
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == swept).values(source_key=None))
    with pytest.raises(JobNotRepairable, match="no longer stored"):
        repair_job(line.platform, swept)


@POSTGRES_IS_SLOW
def test_an_upload_deleted_before_its_repair_fails_the_repair_which_can_be_retried(
    line: Stack, worker: Worker, tmp_path: Path
) -> None:
    broken = _rejected(line, worker, tmp_path)
    new = repair_job(line.platform, broken)
    delete_job(line.platform, broken)
    prepare_job(worker, new.id)
    job = line.job(new.id)
    assert (job.state, (job.problem or {})["slug"]) == ("failed", "preparation-failed")
    assert retry_job(line.platform, new.id).state == "received"
