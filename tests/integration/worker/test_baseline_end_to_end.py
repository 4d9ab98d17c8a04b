"""A baseline from end to end: folders uploaded, CLIP evaluated, a version published, its model used."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders.class_folders import SHAPES, folder_files, shape
from tests.builders.clip_model import make_clip
from tests.builders.training import REPOSITORY
from tests.builders.voc import zip_files
from worker.context import Worker
from worker.tasks.prepare import prepare_job
from worker.tasks.train import train_run


@pytest.fixture
def platform(sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=sqlite_url, hub=False))
    yield opened
    opened.db.close()


@pytest.fixture
def job_id(client: httpx.Client, platform: Platform, tmp_path: Path) -> str:
    archive = zip_files(tmp_path / "shapes.zip", folder_files(each=8))
    headers = {"content-type": "application/zip"}
    answer = client.post("/upload-dataset", content=archive.read_bytes(), headers=headers)
    prepare_job(Worker(platform, "prepare", "test"), answer.json()["job_id"])
    return str(answer.json()["job_id"])


def test_without_weights_a_baseline_fails_by_name(client: httpx.Client, platform: Platform, job_id: str) -> None:
    queued = client.post(f"/baseline/{job_id}")
    train_run(Worker(platform, "train", "test"), queued.json()["run_id"])
    run = client.get(queued.json()["links"]["self"]).json()
    assert (run["state"], run["problem"]["slug"]) == ("failed", "weights-unavailable")
    assert run["problem"]["model"] == "openai/clip-vit-base-patch32"


@pytest.mark.slow
def test_a_baseline_is_published_as_a_version_and_names_images(
    client: httpx.Client, platform: Platform, job_id: str, tmp_path: Path
) -> None:
    make_clip(platform.settings.weights / "openai--clip-vit-base-patch32")
    queued = client.post(f"/baseline/{job_id}", json={"prompts": {"disc": ["a round thing"]}})
    train_run(Worker(platform, "train", "test"), queued.json()["run_id"])
    run = client.get(queued.json()["links"]["self"]).json()
    assert (run["state"], run["version"], run["progress"]) == ("succeeded", 1, None), run
    version = client.get(f"/models/{job_id}/v1").json()
    assert version["trainer"] == "clip"
    assert version["metrics"]["test"]["images"] > 0 and version["metrics"]["val"]["accuracy"] is not None
    about = client.get(f"/models/{job_id}/v1/artifacts/model.json").json()
    assert about["prompts"]["disc"] == ["a round thing"] and about["prompts"]["box"][0] == "a photo of a box."
    assert (about["mode"], about["epochs_done"], about["kind"]) == ("zero-shot", 0, "classification")

    model = client.get(f"/download/model/{job_id}").content
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert {"model.safetensors", "head.safetensors", "tokenizer.json"} <= set(archive.namelist())
    (tmp_path / "model.zip").write_bytes(model)
    (tmp_path / "new.png").write_bytes(shape("disc", seed="new"))
    words = ["--model", "model.zip", "--image", "new.png", "--out", "seen.png", "--json", "seen.json"]
    command = [sys.executable, "-m", "pipeline", "predict", *words]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())["labels"]
    assert {one["label"] for one in seen} == set(SHAPES) and abs(sum(one["score"] for one in seen) - 1) < 1e-3
