"""A run that starts from a version of ours: its worker brings the weights, and a kill -9 does not start it anew."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.domain.keys import artifact_key
from core.services.models.fine_tuning import queue_training
from core.services.models.versions import artifacts_of
from core.services.work.events import events_after
from tests.builders.published import put
from tests.builders.rows import versions_of
from tests.servers.scripted_worker import ScriptedLauncher
from tests.servers.workers import TINY, Stack, child_of, small_set, stack
from worker.context import Worker
from worker.tasks.train import train_run

PARAMS = {name: value for name, value in TINY.items() if name != "pretrained"} | {"model": "v1"}
WEIGHTS = b"weights of attempt 1"  # as the scripted child writes them


class KeepingLauncher(ScriptedLauncher):
    """Keeps what the child is given."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, object] = {}
        self.weights = b""

    def command(self, name: str, spec_file: Path) -> Sequence[str]:
        self.model = json.loads(spec_file.read_text())["model"]
        self.weights = Path(str(self.model["path_or_name"])).read_bytes()
        return super().command(name, spec_file)


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, "") as made:
        yield made


@pytest.fixture
def job_id(line: Stack, tmp_path: Path) -> str:
    """A ready job with v1."""
    made = line.ready_job(small_set(tmp_path))
    train_run(Worker(line.platform, "train", "test", ScriptedLauncher()), line.train(made))
    return made


def fine_tune(line: Stack, job_id: str) -> str:
    return queue_training(line.platform, job_id, trainer="yolo", params=PARAMS).id


def test_the_child_starts_from_the_weights_of_the_version(line: Stack, job_id: str) -> None:
    launcher = KeepingLauncher()
    run_id = fine_tune(line, job_id)
    train_run(Worker(line.platform, "train", "test", launcher), run_id)
    run = line.run(run_id)
    assert run.state == "succeeded", run.problem
    first, second = versions_of(line.platform, job_id)
    name = run.params["model"]
    assert launcher.weights == WEIGHTS
    (weights,) = [each for each in artifacts_of(line.platform.db, [first.id])[first.id] if each.name == "best.pt"]
    assert launcher.model["parent"] == {"name": name, "version_id": first.id, "sha256": weights.sha256}
    assert run.notes == {"weights": f"fine-tuned from {name}"}
    assert (second.parent_id, second.number) == (first.id, 2)
    assert not Path(str(launcher.model["path_or_name"])).exists(), "it is the attempt's own copy"


@pytest.mark.parametrize(("content", "reason"), [(None, "missing from"), (b"other", "not those that were published")])
def test_weights_that_the_store_lost_or_changed_fail_the_run(
    line: Stack, job_id: str, content: bytes | None, reason: str
) -> None:
    (version,) = versions_of(line.platform, job_id)
    key = artifact_key(str(version.run_id), version.attempt, "best.pt")
    line.platform.store.delete_prefix(key)
    if content is not None:
        put(line.platform, key, content)
    run_id = fine_tune(line, job_id)
    train_run(Worker(line.platform, "train", "test", KeepingLauncher()), run_id)
    run = line.run(run_id)
    assert run.state == "failed" and run.problem is not None
    assert (run.problem["slug"], run.problem["model"]) == ("weights-unavailable", run.params["model"])
    assert reason in run.problem["detail"]


@pytest.mark.slow
def test_a_killed_fine_tuning_goes_on_and_publishes_a_version_with_its_parent(line: Stack, tmp_path: Path) -> None:
    job_id = line.ready_job(small_set(tmp_path))
    line.start("housekeeping")
    worker = line.start("train")
    assert line.ended_run(line.train(job_id)).state == "succeeded"
    run_id = queue_training(line.platform, job_id, trainer="yolo", params={**PARAMS, "epochs": 6}).id
    line.until(lambda: line.run(run_id).checkpoint_epoch)
    child = child_of(worker)
    assert child is not None
    child.kill()
    run = line.ended_run(run_id)
    assert (run.state, run.attempt) == ("succeeded", 2), (run.problem, line.logs())
    assert run.notes is not None and run.notes["head"] == "kept 2 of 2 classes: box, disc"
    reported = [
        event.data["progress"]["epoch"]
        for event in events_after(line.platform.db, run_id, seq=0)
        if event.data.get("progress")
    ]
    assert sorted(set(reported)) == [1, 2, 3, 4, 5, 6]
    assert reported.count(1) == 1, "it did not start afresh"
    first, second = versions_of(line.platform, job_id)
    (model,) = [each for each in artifacts_of(line.platform.db, [second.id])[second.id] if each.name == "model.json"]
    line.platform.store.fetch(model.key, tmp_path / "model.json")
    parent = json.loads((tmp_path / "model.json").read_text())["parent"]
    assert (parent["name"], parent["version_id"], second.parent_id) == (run.params["model"], first.id, first.id)
