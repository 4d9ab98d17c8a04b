"""A set that was prepared before there was an image index gets one, by real children: the one that prepare writes."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from core.db.tables import DatasetRow, FindingRow, OperationRow
from core.domain.errors import ImageIndexMissing
from core.services.jobs.image_index import root_of
from core.services.jobs.images import images_with_finding, refuse_without_index
from core.services.operations.commands import get_operation
from core.services.views import prepared_set_of
from pipeline.index.read import Selection, read_page
from pipeline.index.schema import IndexedImage
from tests.builders.class_folders import folder_files
from tests.builders.voc import voc_files, zip_files
from tests.children import supervised_child
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.mark.parametrize("kind", ["detection", pytest.param("classification", marks=pytest.mark.slow)])
def test_the_index_of_a_stored_set_is_the_one_that_prepare_writes(line: Stack, tmp_path: Path, kind: str) -> None:
    files = voc_files(images=8) if kind == "detection" else folder_files(each=5)
    odd = "wrapped/images/p03.jpg" if kind == "detection" else "wrapped/box/03.png"
    files = {f"wrapped/{name}": content for name, content in files.items()}
    files[odd] += b"rest" if kind == "detection" else b""
    job_id = line.upload(zip_files(tmp_path / "data.zip", files))
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    before, findings = _images(line, job_id), _findings(line, job_id)
    assert before and (kind == "classification" or ("image-odd-bytes", "p03.jpg") in findings)

    operation = _without_index(line, job_id)
    operate(Worker(line.platform, "operations", "test"), operation.id)
    done = get_operation(line.platform.db, operation.id)
    assert (done.state, done.result) == ("succeeded", {"images": len(before)}), done.problem
    assert _images(line, job_id) == before
    of_images = {(code, image) for code, image in findings if image and code.startswith("image-")}
    assert of_images <= _findings(line, job_id)
    if kind == "detection":
        assert images_with_finding(line.platform.db, job_id, "image-odd-bytes") == {"p03.jpg"}
    with pytest.raises(AssertionError, match="the set has its index"):
        _refused(line, job_id)


@pytest.mark.slow
@pytest.mark.usefixtures("new_interpreters")
def test_a_killed_child_is_a_lost_attempt_and_the_next_one_makes_the_index(line: Stack, tmp_path: Path) -> None:
    job_id = line.upload(zip_files(tmp_path / "data.zip", voc_files(images=8)))
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    before = _images(line, job_id)
    operation = _without_index(line, job_id)
    worker = Worker(line.platform, "operations", "test")
    task = threading.Thread(target=operate, args=(worker, operation.id))
    task.start()
    child = line.until(supervised_child)
    child.send_signal(signal.SIGKILL)
    task.join(30)
    lost = get_operation(line.platform.db, operation.id)
    assert (lost.state, lost.lost_leases) == ("queued", 1)
    operate(worker, operation.id)
    assert get_operation(line.platform.db, operation.id).state == "succeeded" and _images(line, job_id) == before


def test_a_set_whose_tar_is_lost_fails_by_name_and_is_not_tried_for_ever(line: Stack, tmp_path: Path) -> None:
    job_id = line.upload(zip_files(tmp_path / "data.zip", voc_files(images=8)))
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    operation = _without_index(line, job_id)
    _, dataset = prepared_set_of(line.platform.db, job_id)
    line.platform.store.delete_prefix(dataset.key)
    operate(Worker(line.platform, "operations", "test"), operation.id)
    failed = get_operation(line.platform.db, operation.id)
    assert failed.state == "failed" and failed.problem is not None and failed.problem["slug"] == "operation-failed"
    facts = _refused(line, job_id).facts
    assert (facts["operation_id"], facts["state"]) == (operation.id, "failed")
    assert facts["links"]["retry"] == f"/operations/{operation.id}/retry"


def test_the_folder_of_an_upload_is_the_one_below_which_most_paths_are_images() -> None:
    images = {"1.jpg", "2.jpg", "a/1.jpg"}
    assert root_of(["w/1.jpg", "w/2.jpg", "w/gone.jpg"], images) == "w/"
    assert root_of(["a/1.jpg", "2.jpg"], images) == ""
    assert root_of(["w/a/1.jpg", "w/2.jpg"], images) == "w/"
    assert root_of([], images) == root_of(["x.xml"], images) == ""


def _without_index(line: Stack, job_id: str) -> OperationRow:
    """As a set of before: the operation that the first request for its images queues."""
    with line.platform.db.transaction() as session:
        session.execute(update(DatasetRow).values(index_key=None, index_bytes=None))
        session.execute(update(FindingRow).values(image=None))
    return get_operation(line.platform.db, _refused(line, job_id).facts["operation_id"])


def _refused(line: Stack, job_id: str) -> ImageIndexMissing:
    job, dataset = prepared_set_of(line.platform.db, job_id)
    assert dataset.index_key is None, "the set has its index"
    with pytest.raises(ImageIndexMissing) as refused:
        refuse_without_index(line.platform, job, dataset)
    return refused.value


def _images(line: Stack, job_id: str) -> list[IndexedImage]:
    _, dataset = prepared_set_of(line.platform.db, job_id)
    copy = line.folder / "copy.sqlite"
    copy.unlink(missing_ok=True)
    line.platform.store.fetch(str(dataset.index_key), copy)
    return read_page(copy, Selection(), after=None, limit=500, boxes=1000).images


def _findings(line: Stack, job_id: str) -> set[tuple[Any, Any]]:
    with line.platform.db.reading() as session:
        rows = session.execute(select(FindingRow.code, FindingRow.image).where(FindingRow.job_id == job_id)).all()
    return {(code, image) for code, image in rows}
