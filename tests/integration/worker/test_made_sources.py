"""Datasets that need nothing from outside: the ZIP of another one prepared again, and drawn samples."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain.errors import JobInUse, SourceNotReusable
from core.services.jobs.deletion import delete_job
from core.services.jobs.origin_import import import_origin, prepare_again
from tests.builders.voc import voc_zip
from tests.servers.workers import OPTIONS, Stack, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Worker:
    return Worker(line.platform, "prepare", "test")


def test_a_rejected_zip_is_prepared_again_without_what_is_broken_and_belongs_to_the_new_dataset(
    line: Stack, worker: Worker, tmp_path: Path
) -> None:
    rejected = line.upload(voc_zip(tmp_path / "balls.zip", broken="box_inverted"))
    prepare_job(worker, rejected)
    before = line.job(rejected)
    assert before.state == "rejected"
    assert before.problem is not None
    assert {name: before.problem[name] for name in ("images", "unusable", "skippable")} == {
        "images": 12,
        "unusable": 1,
        "skippable": True,
    }

    made = [prepare_again(line.platform, rejected, options={**before.options, "on_error": "skip"}) for _ in range(2)]
    prepare_job(worker, made[0].id)
    again = line.job(made[0].id)
    assert (again.state, again.images, again.source_sha256) == ("ready", 11, before.source_sha256), again.problem
    assert again.imported_from is not None and again.imported_from["location"] == rejected
    assert (again.name, again.source_name) == (before.name, "balls.zip")

    with pytest.raises(JobInUse, match="is to be prepared of the ZIP of") as refused:
        delete_job(line.platform, rejected)
    assert refused.value.facts["copies"] == [made[1].id]
    prepare_job(worker, made[1].id)
    delete_job(line.platform, rejected)
    for copy in made:
        owned = line.job(copy.id)
        assert owned.state == "ready" and owned.source_key != before.source_key
        assert line.platform.store.head(str(owned.source_key)) is not None, "each job owns its ZIP"


def test_too_much_that_is_broken_is_not_skippable(line: Stack, worker: Worker, tmp_path: Path) -> None:
    rejected = line.upload(voc_zip(tmp_path / "balls.zip", broken="box_inverted", images=6))
    prepare_job(worker, rejected)
    assert (line.job(rejected).problem or {})["skippable"] is False


def test_a_dataset_without_its_zip_cannot_be_prepared_again(line: Stack) -> None:
    waiting = import_origin(line.platform, name="a", source_name="a.zip", origin=_sample(), options=OPTIONS)
    with pytest.raises(SourceNotReusable, match="not stored"):
        prepare_again(line.platform, waiting.id, options=OPTIONS)


def test_a_sample_is_drawn_by_a_child_and_prepared_like_an_upload(line: Stack, worker: Worker, tmp_path: Path) -> None:
    job = import_origin(line.platform, name="shapes", source_name="shapes.zip", origin=_sample(), options=OPTIONS)
    prepare_job(worker, job.id)
    ready = line.job(job.id)
    assert (ready.state, ready.images, ready.kind) == ("ready", 120, "detection"), ready.problem
    assert ready.classes == ["circle", "square", "star", "triangle"]
    errors = [code for code, entry in (ready.findings or {}).items() if entry["severity"] != "note"]
    assert not errors
    metadata = json.loads(b"".join(line.platform.store.open(str(ready.metadata_key))))
    assert metadata["source"]["imported_from"] == {"kind": "sample", "location": "shapes"}
    fetched = tmp_path / "fetched.zip"
    line.platform.store.fetch(str(ready.source_key), fetched)
    with zipfile.ZipFile(fetched) as archive:
        assert len(archive.namelist()) == 240


def _sample() -> dict[str, str]:
    return {"kind": "sample", "location": "shapes"}
