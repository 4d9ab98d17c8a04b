"""From a dataset on a hub to a published Vision Transformer, through a kill -9 in the middle of its training."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.tables import VersionRow
from core.services.jobs.hub_import import import_set
from core.services.models.versions import artifacts_of
from core.services.runs.commands import queue_run
from core.services.work.events import events_after
from tests.builders.class_folders import SHAPES, shape
from tests.builders.hub_sets import table
from tests.builders.rows import versions_of
from tests.servers.hub import hub
from tests.servers.workers import OPTIONS, Stack, child_of, stack

PARAMS = {"model": "vit-nano-scratch", "epochs": 5, "image_size": 32, "batch": 4, "lr": 0.002, "device": "cpu"}
IMAGES = 90


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    labels = [number % len(SHAPES) for number in range(IMAGES)]
    images = [shape(SHAPES[label], seed=str(number), side=32) for number, label in enumerate(labels)]
    with hub() as the_hub:
        the_hub.add("org/shapes", {"train.parquet": table(labels, names=SHAPES, images=images)})
        with stack(tmp_path, sqlite_url, "", hub=True, hub_endpoint=the_hub.endpoint) as made:
            made.start("housekeeping")
            yield made


@pytest.mark.slow
def test_a_vit_killed_within_an_epoch_goes_on_and_publishes_what_an_undisturbed_one_does(line: Stack) -> None:
    hub_set = {"repository": "org/shapes", "splits": ["train"]}
    job_id = import_set(line.platform, name="shapes", hub_set=hub_set, options=OPTIONS).id
    line.start("prepare")
    worker = line.start("train")
    job = line.ended_job(job_id)
    assert (job.state, job.kind, job.images) == ("ready", "classification", IMAGES), job.problem

    run_id = queue_run(line.platform, job_id, trainer="vit", params=PARAMS).id
    line.until(lambda: line.run(run_id).checkpoint_epoch)
    child = child_of(worker)
    assert child is not None
    child.kill()
    run = line.ended_run(run_id)

    # 0 lost leases: the second attempt stored checkpoints of its own
    assert (run.state, run.attempt, run.lost_leases) == ("succeeded", 2, 0), (run.problem, line.logs())
    reported = epochs_reported(line, run_id)
    first_again = next(epoch for attempt, epoch in reported if attempt == 2)
    assert first_again > 1, "it did not start afresh"
    assert [epoch for attempt, epoch in reported if attempt == 2] == list(range(first_again, PARAMS["epochs"] + 1))
    undisturbed = line.ended_run(queue_run(line.platform, job_id, trainer="vit", params=PARAMS).id)
    assert (undisturbed.state, undisturbed.attempt) == ("succeeded", 1)
    versions = versions_of(line.platform, job_id)
    assert sorted((version.number, version.attempt) for version in versions) == [(1, 2), (2, 1)]
    killed, whole = sorted(versions, key=lambda version: version.number)
    assert weights(line, killed) == weights(line, whole)


def epochs_reported(line: Stack, run_id: str) -> list[tuple[int, int]]:
    """(attempt, epoch), in the order of the reports."""
    reported, attempt = [], 0
    for event in events_after(line.platform.db, run_id, seq=0):
        attempt = event.data.get("attempt", attempt)
        if progress := event.data.get("progress"):
            reported.append((attempt, progress["epoch"]))
    return reported


def weights(line: Stack, version: VersionRow) -> bytes:
    """The tensors that it publishes."""
    (artifact,) = [
        each for each in artifacts_of(line.platform.db, [version.id])[version.id] if each.name == "model.zip"
    ]
    fetched = line.folder / f"v{version.number}.zip"
    line.platform.store.fetch(artifact.key, fetched)
    with zipfile.ZipFile(io.BytesIO(fetched.read_bytes())) as archive:
        return archive.read("model.safetensors")
