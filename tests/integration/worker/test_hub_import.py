"""An import: from a hub on loopback to a job's source, by the real child; and every fault of a hub."""

import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from core.db.tables import DatasetRow, JobRow
from core.services.jobs.commands import retry_job
from core.services.jobs.deletion import delete_job
from core.services.jobs.hub_import import import_set
from pipeline.process.tar import unpack
from tests.builders.hub_sets import action_set, jpeg, table
from tests.servers.hub import Hub, hub
from tests.servers.workers import OPTIONS, Stack, stack
from worker.context import Worker
from worker.inputs import hub_client as worker_hub
from worker.tasks import hub_import as importing
from worker.tasks.prepare import prepare_job

SET = "Bingsu/Human_Action_Recognition"


@pytest.fixture
def the_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(worker_hub, "PAUSES_SECONDS", (0.0, 0.0))
    with hub() as opened:
        yield opened


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str, the_hub: Hub) -> Iterator[Stack]:
    settings = {"lease_seconds": 30.0, "hub": True, "hub_endpoint": the_hub.endpoint}
    with stack(tmp_path, sqlite_url, "", **settings) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Worker:
    return Worker(line.platform, "prepare", "test")


def import_job(line: Stack, repository: str = SET, **more: Any) -> str:
    """The id of a new job that imports."""
    hub_set = {"repository": repository, "splits": ["train"], **more}
    return import_set(line.platform, name="actions", hub_set=hub_set, options=OPTIONS).id


def imported(line: Stack, worker: Worker, repository: str = SET, **more: Any) -> JobRow:
    job_id = import_job(line, repository, **more)
    prepare_job(worker, job_id)
    return line.job(job_id)


def slug(job: JobRow) -> tuple[str, str | None]:
    return job.state, (job.problem or {}).get("slug")


def names(line: Stack, job: JobRow, folder: Path) -> list[str]:
    line.platform.store.fetch(str(job.source_key), folder / "fetched.zip")
    with zipfile.ZipFile(folder / "fetched.zip") as archive:
        return archive.namelist()


def test_the_train_split_of_a_commit_becomes_a_job_that_names_the_commit(
    line: Stack, worker: Worker, the_hub: Hub, tmp_path: Path
) -> None:
    commit = the_hub.add(SET, action_set())
    the_hub.faults |= {"busy": 2, "short": 1, "damaged": 1}  # requests are repeated
    job = imported(line, worker)
    assert (job.state, job.kind, job.classes) == ("ready", "classification", ["calling", "clapping", "running"])
    found = names(line, job, tmp_path)
    assert (len(found), found[0]) == (24, "calling/0000001.jpg"), "nothing of the test split"
    fetched = [path for path in the_hub.requests if "/resolve/" in path]
    assert all(f"/resolve/{commit}/data/train-" in path for path in fetched)
    assert len(fetched) == 4, "the short one and the damaged one were fetched again"

    line.platform.store.fetch(str(job.metadata_key), tmp_path / "metadata.json")
    assert json.loads((tmp_path / "metadata.json").read_text())["source"] == {
        "name": "Bingsu--Human_Action_Recognition.zip",
        "bytes": job.source_bytes,
        "sha256": job.source_sha256,
        "huggingface": job.huggingface,
    }
    known = {"repository": SET, "splits": ["train"], "commit": commit, "images": 24, "left_out": 0}
    assert job.huggingface == known


@pytest.mark.slow
def test_the_order_of_the_hubs_class_names_is_that_of_the_prepared_set(
    line: Stack, worker: Worker, the_hub: Hub, tmp_path: Path
) -> None:
    names = ("running", "calling", "clapping")
    the_hub.add(SET, {"data/train-0.parquet": table([number % 3 for number in range(24)], names=names)})
    job = imported(line, worker)
    assert (job.state, job.classes) == ("ready", list(names)), job.problem
    with line.platform.db.reading() as session:
        key = session.get_one(DatasetRow, job.fingerprint).key
    line.platform.store.fetch(key, tmp_path / "set.tar")
    unpack(tmp_path / "set.tar", tmp_path / "set")
    train = datasets.load_from_disk(str(tmp_path / "set" / "data"))["train"]
    assert train.features["label"].names == list(names)
    assert sorted(set(train["label"])) == [0, 1, 2]


@pytest.mark.slow
def test_a_later_attempt_keeps_to_the_first_commit_and_makes_the_same_zip(
    line: Stack, worker: Worker, the_hub: Hub
) -> None:
    commit = the_hub.add(SET, action_set(per_class=4))
    before = imported(line, worker)
    the_hub.faults["short"] = 3  # as often as is tried
    failed = imported(line, worker)
    assert slug(failed) == ("failed", "hub-unavailable")
    the_hub.repositories[SET].commit(action_set(per_class=5))
    retry_job(line.platform, failed.id)
    prepare_job(worker, failed.id)
    again = line.job(failed.id)
    assert (again.huggingface or {})["commit"] == commit != the_hub.repositories[SET].revisions["main"]
    assert again.source_sha256 == before.source_sha256 and again.fingerprint == before.fingerprint


def test_what_the_hub_does_not_have_for_us_rejects_the_job(line: Stack, worker: Worker, the_hub: Hub) -> None:
    the_hub.add(SET, action_set(per_class=4))
    the_hub.add("org/closed", action_set(per_class=4), gated=True)
    the_hub.add("org/texts", {"data.csv": b"a,b\n", "set.py": b"exit()"})
    for more, wanted, reason in (
        ({"repository": "org/unknown"}, "hub-set-not-found", "repository"),
        ({"repository": "org/closed"}, "hub-set-not-found", "gated"),
        ({"revision": "v9"}, "hub-set-not-found", "revision"),
        ({"repository": "org/texts"}, "hub-set-unusable", None),
        ({"splits": ["validation"]}, "hub-set-unusable", None),
    ):
        job = imported(line, worker, **more)
        assert slug(job) == ("rejected", wanted), job.problem
        assert (job.problem or {}).get("reason") == reason
    assert not [path for path in the_hub.requests if "/resolve/" in path], "nothing was fetched for it"


def test_a_gated_set_is_imported_with_a_token_that_goes_to_the_hub_alone(
    tmp_path: Path, sqlite_url: str, the_hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    the_hub.tokens = frozenset({"hf_granted", "hf_other"})
    the_hub.storage = the_hub.endpoint.replace("127.0.0.1", "localhost")
    the_hub.add(SET, action_set(per_class=4), gated=True, granted=frozenset({"hf_granted"}))
    outcomes = {
        "hf_granted": (("ready", None), ""),
        "hf_other": (("rejected", "hub-set-not-found"), "has to be granted access"),
        "hf_unknown": (("failed", "hub-token-refused"), "DARKROOM_HUB_TOKEN"),
        "": (("rejected", "hub-set-not-found"), "can set DARKROOM_HUB_TOKEN"),
    }
    for token, (outcome, detail) in outcomes.items():
        settings = {"hub": True, "hub_endpoint": the_hub.endpoint, "hub_token": token}
        with stack(tmp_path, sqlite_url, "", **settings) as line:
            job = imported(line, Worker(line.platform, "prepare", "test"))
            assert slug(job) == outcome, job.problem
            assert detail in (job.problem or {}).get("detail", "")
            kept = json.dumps([job.huggingface, job.problem, job.options]) + repr(line.settings) + caplog.text
            assert not token or token not in kept
    assert all(path.startswith(("/api/", "/datasets/")) for path, _ in the_hub.authorized)
    assert any(path.startswith("/storage/") for path in the_hub.requests)


def test_tables_that_cannot_be_used_reject_the_job(line: Stack, worker: Worker, the_hub: Hub) -> None:
    the_hub.add(SET, {"train.parquet": b"PAR1, and then something else"})
    job = imported(line, worker)
    assert slug(job) == ("rejected", "hub-set-unusable")
    assert "train.parquet cannot be read as parquet" in (job.problem or {})["detail"]


def test_a_set_above_the_limit_is_not_fetched(tmp_path: Path, sqlite_url: str, the_hub: Hub) -> None:
    the_hub.add(SET, action_set())
    limits = {"hub": True, "hub_endpoint": the_hub.endpoint, "upload_max_bytes": 10_000}
    with stack(tmp_path, sqlite_url, "", **limits) as line:
        job = imported(line, Worker(line.platform, "prepare", "test"))
        assert slug(job) == ("rejected", "hub-set-unusable")
        assert (job.problem or {})["reason"] == "too-large"
    assert not [path for path in the_hub.requests if "/resolve/" in path]


def test_a_hub_that_is_not_there_or_too_slow_fails_the_job(
    tmp_path: Path, sqlite_url: str, the_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_hub.add(SET, action_set(per_class=4))
    monkeypatch.setattr(importing, "WHOLE_SECONDS", 0.0)
    with stack(tmp_path, sqlite_url, "", hub=True, hub_endpoint=the_hub.endpoint) as line:
        job = imported(line, Worker(line.platform, "prepare", "test"))
        assert slug(job) == ("failed", "hub-unavailable"), job.problem
        assert "too slow" in (job.problem or {})["detail"]
    with stack(tmp_path, sqlite_url, "", hub=True, hub_endpoint="http://127.0.0.1:9") as line:
        assert slug(imported(line, Worker(line.platform, "prepare", "test"))) == ("failed", "hub-unavailable")


def test_a_worker_without_a_hub_fails_the_import_by_name(line: Stack, tmp_path: Path, sqlite_url: str) -> None:
    job_id = import_job(line)
    with stack(tmp_path, sqlite_url, "", hub=False) as closed:
        prepare_job(Worker(closed.platform, "prepare", "test"), job_id)
    assert slug(line.job(job_id)) == ("failed", "hub-off")


@pytest.mark.parametrize("ending", ["deleted", "drained"])
def test_a_download_ends_when_the_job_is_deleted_or_the_worker_drains(
    line: Stack, worker: Worker, the_hub: Hub, ending: str
) -> None:
    the_hub.add(SET, action_set())
    the_hub.faults["slow"] = 1
    job_id = import_job(line)
    task = threading.Thread(target=prepare_job, args=(worker, job_id))
    task.start()
    assert the_hub.fetching.wait(10)
    assert line.until(lambda: line.job(job_id).progress)["total"] > 0
    if ending == "deleted":
        delete_job(line.platform, job_id)
    else:
        worker.draining.set()
    task.join(5)
    assert not task.is_alive()
    with line.platform.db.reading() as session:
        assert session.get_one(JobRow, job_id).state == {"deleted": "deleted", "drained": "received"}[ending]
    assert list((line.settings.temp / "attempts").iterdir()) == []


@pytest.mark.slow
def test_images_in_folders_of_classes_are_imported_too(
    line: Stack, worker: Worker, the_hub: Hub, tmp_path: Path
) -> None:
    files = {f"train/{name}/{number} ä.jpg": jpeg(number) for number in range(6) for name in ("hop", "sit down")}
    the_hub.add("org/folders", files | {"test/hop/9.jpg": jpeg(50), "README.md": b"#"})
    job = imported(line, worker, "org/folders", splits=["train", "test"])
    found = names(line, job, tmp_path)
    assert (len(found), found[0], found[-1]) == (13, "train/hop/0000001.jpg", "test/hop/0000013.jpg")
    assert job.state == "ready", "given splits are kept"
