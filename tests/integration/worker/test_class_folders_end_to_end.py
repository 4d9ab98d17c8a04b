"""Folders of classes go the whole line: uploaded, prepared, looked at, trained on by the default trainer, predicted."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders.class_folders import SHAPES, folder_files, shape
from tests.builders.training import REPOSITORY
from tests.builders.voc import zip_files
from tests.servers.api import problem
from worker.context import Worker
from worker.tasks.prepare import prepare_job
from worker.tasks.train import train_run

NANO = {"model": "vit-nano-scratch", "epochs": 1, "image_size": 32, "batch": 8, "device": "cpu", "workers": 0}
ZIP = {"content-type": "application/zip"}


@pytest.fixture
def platform(sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=sqlite_url, hub=False))
    yield opened
    opened.db.close()


@pytest.fixture
def job_id(client: httpx.Client, platform: Platform, tmp_path: Path) -> str:
    """Uploaded over HTTP, prepared by a worker."""
    archive = zip_files(tmp_path / "shapes.zip", folder_files(each=8, wrap="my shapes/"))
    sizes = {"validation_size": "0.25", "test_size": "0.25"}
    answer = client.post("/upload-dataset", params=sizes, content=archive.read_bytes(), headers=ZIP)
    prepare_job(Worker(platform, "prepare", "test"), answer.json()["job_id"])
    return str(answer.json()["job_id"])


def test_folders_of_classes_are_ready_and_can_be_looked_at(client: httpx.Client, job_id: str) -> None:
    job = client.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["kind"], job["classes"]) == ("ready", "classification", ["box", "cross", "disc"]), job
    assert (job["options"]["val_fraction"], job["options"]["test_fraction"]) == (0.25, 0.25)
    assert client.get(job["links"]["metadata"]).json()["per_class"]["disc"]["images"]["test"] == 2
    with Image.open(io.BytesIO(client.get(f"/dataset/sample/{job_id}?n=4").content)) as grid:
        assert grid.width > 800
    assert client.get(job["links"]["class_distribution"]).headers["content-type"] == "image/png"
    assert "box_centres" not in job["links"]
    problem(client.get(f"/dataset/plots/{job_id}/box_centres"), 404, "image-not-found")
    with tarfile.open(fileobj=io.BytesIO(client.get(f"/dataset/download/{job_id}").content)) as tar:
        assert {"classes.json", "manifest.json", "data/dataset_dict.json"} <= set(tar.getnames())
    problem(client.post(f"/train-async/{job_id}", json={"trainer": "yolo"}), 409, "trainer-kind-mismatch")


@pytest.mark.slow
def test_the_default_trainer_learns_from_folders_what_predict_returns(
    client: httpx.Client, platform: Platform, job_id: str, tmp_path: Path
) -> None:
    queued = client.post(f"/train-async/{job_id}", json={"params": NANO})
    train_run(Worker(platform, "train", "test"), queued.json()["run_id"])
    run = client.get(queued.json()["links"]["self"]).json()
    assert (run["state"], run["trainer"]) == ("succeeded", "vit"), run
    assert set(client.get(f"/models/{job_id}/v1").json()["metrics"]) >= {"val", "test"}

    (tmp_path / "model.zip").write_bytes(client.get(f"/download/model/{job_id}").content)
    (tmp_path / "new.png").write_bytes(shape("disc", seed="new"))
    words = ["--model", "model.zip", "--image", "new.png", "--out", "seen.png", "--json", "seen.json"]
    command = [sys.executable, "-m", "pipeline", "predict", *words]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())["labels"]
    assert {one["label"] for one in seen} == set(SHAPES) and abs(sum(one["score"] for one in seen) - 1) < 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"validation_size": "0.2", "val_fraction": "0.2"},
        {"test_size": "0"},
        {"test_size": "1"},
        {"validation_size": "-0.1"},
        {"validation_size": "0.6", "test_size": "0.4"},
    ],
)
def test_sizes_of_parts_are_between_0_and_1_and_given_once(client: httpx.Client, options: dict[str, str]) -> None:
    problem(client.post("/upload-dataset", params=options, content=b"PK", headers=ZIP), 400, "request-invalid")
    form = {"file": ("a.zip", b"PK")}
    problem(client.post("/upload-dataset", data=options, files=form), 400, "request-invalid")
