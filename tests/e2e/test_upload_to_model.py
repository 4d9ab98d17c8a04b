"""From upload to model over HTTP, under `make up`, with real processes, some of which are killed on the way."""

import hashlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from darkroom import Client
from darkroom.schemas import ModelVersion, Run
from deploy.local.private_stack import PrivateStack, start_stack, stop_stack, wait_until_it_answers
from pipeline.samples.scenes import write_archive
from tests.builders import hostile
from tests.builders.voc import XML, voc_files, zip_files
from tests.servers.processes import alive, commands, marked
from tests.waiting import wait_until

TINY = {"epochs": 2, "imgsz": 64, "batch": 8, "pretrained": "never", "device": "cpu", "workers": 0}
LONG = {**TINY, "epochs": 12}
RUN_ENDED = frozenset({"succeeded", "failed", "cancelled"})
# Without what follows every version: tests/integration/worker/test_end_to_end.py makes it.
SETTINGS = {"EXPORT_ON_PUBLISH": "false", "EVALUATE_ON_PUBLISH": "false"}
SHORT_LEASES = {"LEASE_SECONDS": "4", "HEARTBEAT_SECONDS": "1", "SWEEP_SECONDS": "0.5", "CHECKPOINT_SECONDS": "0"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateStack]:
    home = tmp_path_factory.mktemp("home")
    (home / "t").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(home / "t"))
        for name, value in (SETTINGS | SHORT_LEASES).items():
            patch.setenv(f"DARKROOM_{name}", value)
        started = start_stack(home)
    try:
        for _ in wait_until_it_answers(started):
            pass
        assert "is not a setting" not in started.log.read_text(), "every name is one"
        yield started
    finally:
        stop_stack(started)


@pytest.fixture
def client(stack: PrivateStack) -> Iterator[Client]:
    with Client(stack.api_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def job_id(stack: PrivateStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = tmp_path_factory.mktemp("scenes") / "scenes.zip"
    write_archive(archive, scenes=24, seed=3)
    with Client(stack.api_url) as client:
        return client.datasets.upload(archive, records=archive.parent).job_id


def test_a_zip_goes_in_and_a_version_comes_out(
    client: Client, stack: PrivateStack, job_id: str, tmp_path: Path
) -> None:
    accepted = client.runs.train(job_id, params=TINY)
    events = list(client.runs.events(accepted))
    run = client.runs.get(accepted)
    assert run.state == "succeeded", run
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    folded: dict[str, Any] = {}
    for event in events:
        folded |= event.data
    names = ("state", "progress", "version", "attempt")
    assert {name: getattr(run, name) for name in names} == {name: folded[name] for name in names}
    version = client.models.get(f"{job_id}/v{run.version}")
    artifacts = {artifact.name: artifact for artifact in version.artifacts}
    assert {"best.pt", "metrics.json", "data.yaml", "model.json", "results.csv"} <= set(artifacts)
    weights = client.models.download(version, tmp_path / "best.pt")
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == artifacts["best.pt"].sha256
    metadata = client.datasets.metadata(job_id)
    assert metadata["fingerprint"] == version.fingerprint == client.datasets.get(job_id).fingerprint
    _expect_it_in_mlflow(stack, client, version)


@pytest.mark.slow
def test_the_child_killed_in_the_middle_goes_on_from_its_checkpoint(
    client: Client, stack: PrivateStack, job_id: str
) -> None:
    run = _killed_in_the_middle(client, stack, job_id, "pipeline train")
    assert run.state == "succeeded" and run.attempt == 2, run


@pytest.mark.slow
def test_the_worker_killed_in_the_middle_is_followed_by_another(
    client: Client, stack: PrivateStack, job_id: str
) -> None:
    run = _killed_in_the_middle(client, stack, job_id, "worker train")
    assert run.state == "succeeded" and run.attempt == 2, run


@pytest.mark.slow
def test_the_api_killed_in_the_middle_does_not_disturb_the_training(
    client: Client, stack: PrivateStack, job_id: str
) -> None:
    run = _killed_in_the_middle(client, stack, job_id, "-m api")
    assert run.state == "succeeded" and run.attempt == 1, run


@pytest.mark.slow
def test_the_broker_killed_does_not_lose_a_run(client: Client, stack: PrivateStack, job_id: str) -> None:
    _kill(stack, "valkey-server")
    accepted = client.runs.train(job_id, params=TINY)
    assert _ended(client, accepted).state == "succeeded"


def test_cancel_ends_a_training_within_five_seconds(client: Client, job_id: str) -> None:
    accepted = client.runs.train(job_id, params=LONG)
    _until_epoch(client, accepted)
    began = time.monotonic()
    client.runs.cancel(accepted)
    assert _ended(client, accepted).state == "cancelled"
    assert time.monotonic() - began < 5 + 0.5  # half a second for polling


def test_versions_have_no_gaps_after_all_that(client: Client, job_id: str) -> None:
    succeeded = list(client.runs.list(dataset=job_id, state="succeeded"))
    versions = [version.number for version in client.models.list(dataset=job_id)]
    assert sorted(versions) == list(range(1, len(succeeded) + 1))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a job for each archive: 170 took 300 s on a busy machine
@pytest.mark.parametrize(
    ("make_zips", "make_documents"),
    [
        (hostile.zips, hostile.documents),
        pytest.param(hostile.corpus_zips, hostile.corpus_documents, marks=hostile.NEEDS_CORPUS),
    ],
)
def test_every_hostile_archive_gets_a_typed_answer_and_writes_nothing_outside(
    client: Client,
    stack: PrivateStack,
    tmp_path: Path,
    make_zips: Callable[[], dict[str, bytes]],
    make_documents: Callable[[], dict[str, bytes]],
) -> None:
    home = stack.log.parent
    before, served_by = _files_outside(home), _servers(stack)
    assert len(served_by) == 6, "the API, four workers and the process that forked them"
    log_length = len(stack.log.read_text())
    archives = make_zips() | _archives_of_hostile_xml(make_documents(), tmp_path)
    assert len(archives) > 80
    jobs, refused = {}, {}
    with httpx.Client(base_url=stack.api_url, timeout=60) as http:
        for name, content in archives.items():
            answer = http.post("/upload-dataset", content=content, headers={"content-type": "application/zip"})
            assert answer.status_code < 500, (name, answer.text)
            if answer.status_code == 202:
                jobs[name] = answer.json()["job_id"]
            else:
                refused[name] = answer.json()
        assert all(problem["type"].startswith("/problems/") for problem in refused.values())
        ends = {name: client.datasets.wait(job, timeout=150, check=False) for name, job in jobs.items()}
    wrong = {name: dataset.state for name, dataset in ends.items() if dataset.state != "rejected"}
    assert wrong == {}
    assert all(dataset.problem and dataset.problem.slug and dataset.problem.detail for dataset in ends.values())
    statuses = re.findall(r"child\.exited.* status=(-?\d+)", stack.log.read_text()[log_length:])
    assert len(statuses) >= len(jobs) and set(statuses) == {"0"}, "no child died of what it read"
    assert _files_outside(home) == before
    assert _servers(stack) == served_by, "the API and the workers are the processes that they were"
    assert client.ready().state == "ok"


def test_a_signal_leaves_no_process_of_the_stack(stack: PrivateStack) -> None:
    """The last test of this file. In the middle of a training: test_up.py."""
    before = marked(stack.process.pid)
    assert len(before) > 5
    stop_stack(stack)
    assert stack.process.returncode == 0
    assert commands(alive(before) + marked(stack.process.pid)) == ""
    assert list((stack.log.parent / "t").glob(f"darkroom-{stack.process.pid}-*")) == []


def _servers(stack: PrivateStack) -> set[int]:
    """The API and the workers, without what they started."""
    parts = ("-m api", "-m worker")
    return {process.pid for process in marked(stack.process.pid) if any(_is(process, part) for part in parts)}


def _killed_in_the_middle(client: Client, stack: PrivateStack, job_id: str, part: str) -> Run:
    accepted = client.runs.train(job_id, params=LONG)
    _until_epoch(client, accepted)
    _kill(stack, part)
    wait_until(lambda: _answers(stack), seconds=30, what="the API answers")
    return _ended(client, accepted)


def _until_epoch(client: Client, started: Run) -> None:
    def in_the_middle() -> bool:
        run = client.runs.get(started)
        assert run.state not in RUN_ENDED, run
        return run.progress is not None and run.progress["epoch"] >= 1

    wait_until(in_the_middle, seconds=60, what="the first epoch ends")


def _kill(stack: PrivateStack, part: str) -> None:
    processes = [process for process in marked(stack.process.pid) if _is(process, part)]
    assert processes, part
    for process in processes:
        process.send_signal(signal.SIGKILL)


def _is(process: psutil.Process, part: str) -> bool:
    try:
        command = " ".join([process.name(), *process.cmdline()])
    except psutil.Error:
        return False
    return part in command and "deploy.local.restart_on_exit" not in command


def _answers(stack: PrivateStack) -> bool:
    try:
        return httpx.get(f"{stack.api_url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _ended(client: Client, run: Run) -> Run:
    return client.runs.wait(run, timeout=150, check=False)


def _expect_it_in_mlflow(stack: PrivateStack, client: Client, version: ModelVersion) -> None:
    """The MLflow sync follows the version; it has the run, its metrics, the dataset, and the registered version."""

    def mlflow(method: Callable[..., httpx.Response], path: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = method(f"{stack.mlflow_url}/api/2.0/mlflow/{path}", timeout=20, **more).json()
        return answer

    def registered() -> list[dict[str, Any]]:
        copy = client.models.get(version).mlflow
        name = copy and copy.model  # None until it is there
        answer = mlflow(httpx.get, "model-versions/search", params={"filter": f"name='{name}'"})
        return list(answer.get("model_versions", []))

    wait_until(lambda: registered() != [], seconds=90, what=lambda: stack.log.read_text()[-4000:])
    (model,) = registered()
    run = mlflow(httpx.get, "runs/get", params={"run_id": model["run_id"]})["run"]
    assert run["info"]["status"] == "FINISHED"
    assert {metric["key"] for metric in run["data"]["metrics"]} >= {"mAP50"}
    (dataset,) = [item["dataset"] for item in run["inputs"]["dataset_inputs"]]
    assert dataset["digest"] == str(version.fingerprint)[:12]
    assert model["source"].startswith("models:/m-")


def _archives_of_hostile_xml(documents: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """A small sound dataset for each document type, which one of its annotations carries."""
    made = {}
    for name, doctype in hostile.doctypes(documents).items():
        files = voc_files()
        files[XML] = doctype + files[XML]
        made[f"xml {name}"] = zip_files(folder / f"{name}.zip", files).read_bytes()
    return made


def _files_outside(home: Path) -> set[str]:
    """Everything round the home of the stack, in its temp folder and in its scratch: where an escaping entry lands."""
    around = (home.parent, Path.cwd(), home / "t", home / "tmp" / "attempts")
    paths = [path for folder in around if folder.exists() for path in folder.iterdir()]
    return {str(path) for path in paths if not path.name.startswith("darkroom-")}
