"""The worker's line with real processes: an upload is prepared, a run is trained, a version is published."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.services.models.versions import artifacts_of, find_version
from core.settings import Settings
from pipeline.samples.scenes import draw_scenes
from tests import REPOSITORY
from tests.servers.api import serving
from tests.servers.workers import Stack, scenes, stack


@pytest.mark.slow
def test_an_upload_is_prepared_and_a_run_of_it_publishes_v1_with_its_onnx(
    tmp_path: Path, sqlite_url: str, valkey_url: str
) -> None:
    with stack(tmp_path, sqlite_url, valkey_url, export_on_publish=True, evaluate_on_publish=True) as line:
        line.start("prepare")
        line.start("train")
        line.start("operations")

        job = line.ended_job(line.upload(scenes(tmp_path), project="scenes"))
        assert job.state == "ready", job.problem
        metadata = line.platform.store.fetch(str(job.metadata_key), tmp_path / "metadata.json")
        assert metadata.sha256 == job.metadata_sha256
        assert json.loads((tmp_path / "metadata.json").read_text())["fingerprint"] == job.fingerprint

        run = line.ended_run(line.train(job.id))
        assert run.state == "succeeded", (run.problem, line.logs())
        assert run.progress is not None and set(run.progress) == {"epoch", "epochs", "metrics", "seconds_left"}
        assert run.progress["epoch"] == 2 and run.spent_seconds > 0
        assert run.notes is not None and run.notes["weights"].startswith("trained from scratch")

        version = find_version(line.platform.db, job.id)
        stored = {artifact.name: artifact for artifact in artifacts_of(line.platform.db, [version.id])[version.id]}
        assert {"best.pt", "metrics.json", "data.yaml", "model.json", "results.csv"} <= set(stored)
        for artifact in stored.values():
            assert line.platform.store.fetch(artifact.key, tmp_path / artifact.name).sha256 == artifact.sha256
        assert version.number == 1 and set(version.metrics) >= {"val", "test"}
        _expect_its_onnx(line, tmp_path)
        _expect_its_evaluations(line)
        line.until(lambda: not list((line.settings.temp / "attempts").iterdir()))
        assert not list((line.settings.cache / "private").iterdir())


@pytest.mark.slow
def test_the_same_line_stands_on_postgres_and_s3(
    tmp_path: Path, postgres_copy: str, s3_settings: Settings, valkey_url: str
) -> None:
    names = ("store_url", "s3_endpoint", "s3_region", "s3_access_key", "s3_secret_key")
    s3 = {name: getattr(s3_settings, name) for name in names}
    with stack(tmp_path, postgres_copy, valkey_url, **s3) as line:
        line.start("housekeeping")
        line.start("prepare")
        job = line.ended_job(line.upload(scenes(tmp_path)))
        assert job.state == "ready", job.problem
        first = line.start("train", scripted=True)
        run_id = line.train(job.id, epochs=40)
        line.until(lambda: line.run(run_id).checkpoint_key)
        first.kill()
        line.start("train", scripted=True)

        run = line.ended_run(run_id)

        assert (run.state, run.attempt) == ("succeeded", 2), line.logs()
        assert find_version(line.platform.db, job.id).number == 1


def _expect_its_onnx(line: Stack, folder: Path) -> None:
    """It was queued when the version was published; it predicts what the model predicts."""
    with serving(line.platform) as client:
        waiting = client.get("/models/scenes/v1/exports").json()
        for operation in waiting["waiting"]:
            assert line.ended_operation(operation["operation_id"]).state == "succeeded", line.logs()
        export = client.get("/models/scenes/v1/exports").json()["items"][0]
        assert (export["format"], export["passed"], export["reasons"]) == ("onnx", True, []), export
        certificate = client.get(export["links"]["certificate"]).json()
        assert certificate["images"] and certificate["outputs"]["largest"] < 1e-3
        (folder / export["file_name"]).write_bytes(client.get(export["links"]["download"]).content)
    image = folder / "scene.png"
    next(iter(draw_scenes(1, seed=77))).image.save(image)
    wanted, found = (_predicted(folder / name, image) for name in ("best.pt", export["file_name"]))
    assert wanted and len(wanted) == len(found)
    assert all(any(box == pytest.approx(other, abs=0.05) for other in found) for box in wanted)


def _expect_its_evaluations(line: Stack) -> None:
    """On the test split the version and its ONNX measure what its training did; the train split it has seen."""
    with serving(line.platform) as client:
        [published] = client.get("/operations?kind=evaluate").json()["items"]
        assert (published["params"]["split"], published["params"]["on_publish"]) == ("test", True)
        requested = client.post("/evaluations", json={"job_id": "scenes/d1", "version": "scenes/v1"}).json()
        assert requested["operation_id"] == published["operation_id"], "it was queued with its version"
        export = client.get("/models/scenes/v1/exports").json()["items"][0]["export_id"]
        found = {}
        for name, body in {
            "test": {"version": "scenes/v1"},
            "train": {"version": "scenes", "split": "train"},
            "onnx": {"export": export},
        }.items():
            queued = client.post("/evaluations", json={"job_id": "scenes/d1", **body}).json()
            assert line.ended_operation(queued["operation_id"]).state == "succeeded", line.logs()
            done = client.post("/evaluations", json={"job_id": "scenes/d1", **body})
            found[name] = client.get(done.json()["links"]["evaluation"]).json()
            assert (done.status_code, client.get(found[name]["links"]["report"]).status_code) == (200, 200)
        trained = client.get("/models/scenes/v1").json()["metrics"]["test"]
        for name in ("test", "onnx"):
            measured = found[name]["metrics"]
            assert measured["images"] == trained["images"] and measured["seen"]["known"]
            assert measured["mAP50"] == pytest.approx(trained["mAP50"], abs=0.01), name
        seen = found["train"]["metrics"]["seen"]
        assert (seen["images"], found["train"]["metrics"]["unseen"]) == (found["train"]["metrics"]["images"], None)
        matrix = client.get("/projects/scenes/evaluations/matrix").json()
        rows = {row["export"]: row["cells"][0] for row in matrix["rows"]}
        assert {name: (cell["source"], cell["seen_images"]) for name, cell in rows.items()} == {
            None: ("evaluation", found["test"]["metrics"]["seen"]["images"]),
            "onnx fp32": ("evaluation", found["onnx"]["metrics"]["seen"]["images"]),
        }


def _predicted(model: Path, image: Path) -> list[list[float]]:
    """Class, score and corners of each box."""
    options = {"model": model, "image": image, "out": image.with_suffix(".jpg"), "json": image.with_suffix(".json")}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "pipeline", "predict", *arguments, "--conf", "0.001"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    boxes = json.loads(image.with_suffix(".json").read_text())["boxes"]
    return [[box[name] for name in ("class_index", "score", "x1", "y1", "x2", "y2")] for box in boxes]
