"""One contract for the run trackers: every call may be repeated, and leads to the same run and version."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from core.domain.errors import Unavailable
from core.settings import Settings
from core.tracking import Point, RunTracker, TrackedRun, TrackedVersion, open_tracker
from tests.servers import free_port

FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture(params=["null", pytest.param("mlflow", marks=pytest.mark.integration)])
def tracker(request: pytest.FixtureRequest) -> Iterator[RunTracker]:
    url = request.getfixturevalue("mlflow_url") if request.param == "mlflow" else ""
    yield open_tracker(Settings(mlflow_url=url))


def a_run(job_id: str, run_id: str) -> TrackedRun:
    params = {"epochs": 3, "lr0": None, "odd (name)": "x" * 7000}
    return TrackedRun(run_id, job_id, "raccoons", "yolo", params, FINGERPRINT, 1_700_000_000_000)


def test_a_run_is_begun_once_however_often_it_is_requested(tracker: RunTracker, tmp_path: Path) -> None:
    job_id, run_id = f"job_{uuid4().hex}", f"run_{uuid4().hex}"
    first = tracker.begin(a_run(job_id, run_id))
    points = [Point(("mAP50(B)",), 0.5, 1, 1_700_000_001_000), Point(("loss",), float("nan"), 1, 1_700_000_001_000)]
    for _ in range(2):
        tracker.log(first, points, {"darkroom_attempt": "1"})
    (tmp_path / "best.pt").write_bytes(b"weights")
    tracker.keep(first, tmp_path / "best.pt", "model")
    tracker.finish(first, "FAILED", at_ms=1_700_000_002_000)

    assert tracker.begin(a_run(job_id, run_id)) == first
    assert tracker.begin(a_run(job_id, f"run_{uuid4().hex}")) != first


def test_versions_get_their_names_in_order_and_once(tracker: RunTracker) -> None:
    job_id, run_id = f"job_{uuid4().hex}", f"run_{uuid4().hex}"
    tracked_id = tracker.begin(a_run(job_id, run_id))
    names = [
        tracker.register(TrackedVersion(job_id, "raccoons", number, run_id, tracked_id, FINGERPRINT))
        for number in (1, 2, 2, 1)
    ]

    assert names == ["1", "2", "2", "1"]
    for name in ("2", "1", "1"):
        tracker.alias(job_id, "production", name)
    for _ in range(2):
        tracker.remove_alias(job_id, "production")
    tracker.remove_alias(f"job_{uuid4().hex}", "production")
    for _ in range(2):
        tracker.forget(job_id)


def test_an_mlflow_that_is_down_is_unavailable() -> None:
    tracker = open_tracker(Settings(mlflow_url=f"http://127.0.0.1:{free_port()}"))

    with pytest.raises(Unavailable):
        tracker.begin(a_run("job_x", "run_x"))
