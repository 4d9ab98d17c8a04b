"""What a project is said to store is what the store lists: a real dataset, its thumbnails, a training, its version."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.voc import voc_files, zip_files
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import serving
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job

pytestmark = [pytest.mark.usefixtures("database_url"), POSTGRES_IS_SLOW]


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


def test_its_kinds_add_up_to_what_the_store_lists(line: Stack, tmp_path: Path) -> None:
    job_id = line.upload(zip_files(tmp_path / "data.zip", voc_files(images=8)), project="balls")
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    assert line.job(job_id).state == "ready", line.job(job_id).problem
    run_id = line.train(job_id, epochs=3)
    line.start("train", scripted=True)
    assert line.ended_run(run_id).state == "succeeded", line.logs()
    with serving(line.platform) as client:
        assert _kinds(client)["metadata"][0] >= 3, "metadata, plots and samples"
        image = client.get(f"/dataset/images/{job_id}").json()["items"][0]["sha256"]
        assert client.get(f"/dataset/images/{job_id}/{image}", params={"size": 256}).status_code == 200
        line.until(lambda: line.platform.store.measure("datasets/")[0] == 3)  # the set, its index, the thumbnail
        kinds = _kinds(client)
        assert {kind for kind, (count, _) in kinds.items() if count} == {
            *("sources", "prepared_sets", "image_indexes", "weights", "artifacts", "checkpoints", "logs"),
            *("metadata", "thumbnails"),
        }
        assert (sum(count for count, _ in kinds.values()), sum(size for _, size in kinds.values())) == _stored(line)
        unmeasured = client.get("/projects/balls/storage").json()
        assert not {"metadata", "thumbnails"} & {each["kind"] for each in unmeasured["stored"]}


def _kinds(client: httpx.Client) -> dict[str, tuple[int, int]]:
    found: dict[str, Any] = client.get("/projects/balls/storage", params={"measure": True}).json()
    assert found["bytes"] == sum(each["bytes"] for each in found["stored"])
    return {each["kind"]: (each["count"], each["bytes"]) for each in found["stored"]}


def _stored(line: Stack) -> tuple[int, int]:
    """(count, bytes) of all objects, one by one."""
    heads = [line.platform.store.head(key) for key, _ in line.platform.store.list_prefix("")]
    return len(heads), sum(head.bytes for head in heads if head is not None)
