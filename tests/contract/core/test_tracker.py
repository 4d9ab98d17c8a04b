"""One contract for the run trackers: every call may be repeated, and leads to the same run and version."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from core.domain.errors import Unavailable
from core.settings import Settings
from core.tracking import (
    Page,
    Point,
    RunTracker,
    TrackedDataset,
    TrackedModel,
    TrackedProject,
    TrackedRun,
    TrackedVersion,
    open_tracker,
)
from tests.servers import free_port

AT_MS = 1_700_000_000_000
DATASET = TrackedDataset("d1", "0123456789abcdef" * 4, 20, "training", source="{}")


@pytest.fixture(params=["null", pytest.param("mlflow", marks=pytest.mark.integration)])
def tracker(request: pytest.FixtureRequest) -> Iterator[RunTracker]:
    url = request.getfixturevalue("mlflow_url") if request.param == "mlflow" else ""
    yield open_tracker(Settings(mlflow_url=url))


def a_project() -> TrackedProject:
    ulid = uuid4().hex[:26]
    page = Page(f"raccoons-{ulid[-8:]}", "Raccoons in **gardens**", {"project": f"raccoons-{ulid[-8:]}"})
    return TrackedProject(f"project_{ulid}", page, f"job_{ulid}", None, None)


def a_run(experiment_id: str, run_id: str) -> TrackedRun:
    page = Page("yolov8n · run 123", "| a |\n|---|", {"run": run_id, "mlflow.user": "darkroom", "state": "running"})
    params = {"epochs": 3, "lr0": None, "odd (name)": "x" * 7000}
    return TrackedRun(("run", run_id), experiment_id, None, page, params, DATASET, AT_MS)


def test_a_run_is_begun_once_however_often_it_is_requested(tracker: RunTracker, tmp_path: Path) -> None:
    project = a_project()
    opened = tracker.open_project(project)
    assert opened == tracker.open_project(project)  # as after a crash: no row knows the experiment
    run = a_run(opened.experiment_id, f"run_{uuid4().hex}")
    first = tracker.begin(run)
    points = [Point(("mAP50(B)",), 0.5, 1, AT_MS), Point(("loss",), float("nan"), 1, AT_MS)]
    for _ in range(2):
        tracker.log(first, points, {"attempt": "1"})
    (tmp_path / "curve.png").write_bytes(b"image")
    tracker.keep(first, tmp_path / "curve.png", "plots")
    tracker.describe(first, replace(run.page, name="yolov8n · v1"))
    tracker.finish(first, "FAILED", at_ms=AT_MS)

    assert tracker.begin(run) == tracker.begin(replace(run, tracked_id=first)) == first
    assert tracker.begin(a_run(opened.experiment_id, f"run_{uuid4().hex}")) != first


def test_versions_get_their_names_in_order_and_once(tracker: RunTracker, tmp_path: Path) -> None:
    project = a_project()
    opened = tracker.open_project(project)
    (tmp_path / "best.pt").write_bytes(b"weights")
    versions = []
    for number in (1, 2):
        run = a_run(opened.experiment_id, f"run_{uuid4().hex}")
        tracked_id = tracker.begin(run)
        page = Page(f"rt/v1.0: yolov8n · v{number}", "| a |", {"version": f"v{number}"})
        version_id = f"version_{uuid4().hex}"
        model = TrackedModel(version_id, opened.experiment_id, tracked_id, page, run.params, "yolo")
        for _ in range(2):
            model_id = tracker.begin_model(model)
            tracker.keep_in_model(model_id, tmp_path / "best.pt")
            tracker.finish_model(model_id, tracked_id, [Point(("test", "mAP50"), 0.5, 0, AT_MS)], DATASET)
        versions.append(TrackedVersion(project, opened.name, tracked_id, model_id, page))
    names = [tracker.register(versions[number - 1]) for number in (1, 2, 2, 1)]

    assert names == ["1", "2", "2", "1"]
    for name in ("2", "1", "1"):
        tracker.alias(opened.name, "production", name)
    tracker.describe_version(opened.name, "2", versions[1].model_id, versions[1].page)
    for _ in range(2):
        tracker.remove_alias(opened.name, "production")
    tracker.remove_alias(f"raccoons-{uuid4().hex}", "production")
    for _ in range(2):
        tracker.forget_job(project, "job_none")
        tracker.forget_project(project)


def test_a_project_is_renamed_and_keeps_its_runs_and_versions(tracker: RunTracker) -> None:
    project = a_project()
    opened = tracker.open_project(project)
    run = a_run(opened.experiment_id, f"run_{uuid4().hex}")
    tracked_id = tracker.begin(run)
    page = Page("yolov8n · v1", "", {"version": "v1"})
    assert tracker.register(TrackedVersion(project, opened.name, tracked_id, None, page)) == "1"
    renamed = replace(project, page=replace(project.page, name=f"otters-{uuid4().hex[:8]}"))
    again = tracker.open_project(renamed)

    assert (again.experiment_id == opened.experiment_id) and again.name == renamed.page.name
    assert tracker.begin(run) == tracked_id
    assert tracker.register(TrackedVersion(renamed, again.name, tracked_id, None, page)) == "1"


def test_an_mlflow_that_is_down_is_unavailable() -> None:
    tracker = open_tracker(Settings(mlflow_url=f"http://127.0.0.1:{free_port()}"))

    with pytest.raises(Unavailable):
        tracker.open_project(a_project())
