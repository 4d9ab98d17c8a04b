"""What an MLflow client sees of our rows, through a real server."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core.db.tables import RunRow, VersionRow
from core.domain.errors import Diverged
from core.services.context import Platform, open_platform
from core.services.jobs.commands import delete_job
from core.services.models.mlflow_sync import jobs_to_forget
from core.services.models.versions import set_alias
from core.services.runs import lifecycle as training
from core.services.runs.commands import get_run
from core.services.work.endings import fail_attempt
from core.services.work.leases import Claim, claim_row, report_progress
from core.settings import Settings
from core.tracking import open_tracker
from tests.builders.rows import queued_run, ready_job, versions_of
from tests.servers import free_port
from tests.servers.api import serving
from worker.tasks.mlflow_sync import MlflowSync


@pytest.fixture
def platform(tmp_path: Path, sqlite_url: str, mlflow_url: str) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=sqlite_url, mlflow_url=mlflow_url))
    yield opened
    opened.db.close()


def mirror(platform: Platform) -> None:
    MlflowSync(platform, "test")()


def sync_of(platform: Platform, *, mlflow_url: str) -> MlflowSync:
    """A sync of the same rows with another MLflow."""
    settings = platform.settings.model_copy(update={"mlflow_url": mlflow_url})
    return MlflowSync(Platform(settings, platform.db, platform.store, platform.queue), "test")


def trained(platform: Platform, job_id: str, tmp_path: Path) -> Claim:
    """A running run with two reported epochs and a sample of the system."""
    claimed = claim_row(platform.db, RunRow, queued_run(platform, job_id).id, "w", lease_seconds=60)
    assert claimed is not None
    claim = claimed[0]
    for epoch in (1, 2):
        progress = {"epoch": epoch, "epochs": 2, "metrics": {"mAP50": epoch / 4, "loss": None}, "seconds_left": 1.0}
        report_progress(platform.db, RunRow, claim, progress=progress)
    sample = {"cpu_percent": 90.0, "memory_bytes": 1e9}
    report_progress(platform.db, RunRow, claim, "system", extra={"system": sample})
    return claim


def published(platform: Platform, claim: Claim, tmp_path: Path, classes: Sequence[str] = ("star",)) -> VersionRow:
    artifacts = []
    for name in ("best.pt", "model.json", "metrics.json", "curve.png"):
        (tmp_path / name).write_text(f"{name} of {claim.id}")
        stored = platform.store.put(f"runs/{claim.id}/{claim.attempt}/artifacts/{name}", tmp_path / name)
        artifacts.append(training.PublishedArtifact(name, stored.key, stored.bytes, stored.sha256, "text/plain"))
    per_class = {name: {"mAP50": 0.8, "f1": number / 8} for number, name in enumerate(classes)}
    metrics = {"test": {"mAP50": 0.9, "per_class": per_class}, "speed": {"ms": 3}}
    return training.publish_version(
        platform.db, claim, metrics=metrics, weights_name="best.pt", artifacts=artifacts, log_key=None
    )


def client(url: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)


def test_mlflow_shows_runs_versions_and_aliases_as_ours(platform: Platform, mlflow_url: str, tmp_path: Path) -> None:
    import mlflow

    job = ready_job(platform)
    first, second = (trained(platform, job.id, tmp_path) for _ in range(2))
    mirror(platform)  # while they run
    running = client(mlflow_url).get_run(get_run(platform.db, first.id).mlflow_run_id)
    assert running.info.status == "RUNNING"
    assert [m.value for m in client(mlflow_url).get_metric_history(running.info.run_id, "mAP50")] == [0.25, 0.5]

    published(platform, second, tmp_path)
    published(platform, first, tmp_path)
    set_alias(platform.db, job.id, "production", version="v1")
    mirror(platform)
    set_alias(platform.db, job.id, "production", version="v2")
    mirror(platform)

    see = client(mlflow_url)
    run = see.get_run(running.info.run_id)
    assert see.get_experiment(run.info.experiment_id).name == job.id
    assert (run.info.run_name, run.info.status) == (first.id, "FINISHED")
    assert run.data.params["epochs"] == "3"
    expected = {"darkroom_job": job.id, "darkroom_run": first.id, "darkroom_version": "v2", "darkroom_attempt": "1"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.metrics["test/per_class/star/mAP50"] == 0.8
    assert run.data.metrics["system/cpu_percent"] == 90.0
    used = run.inputs.dataset_inputs[0].dataset
    assert used.digest == ("f" * 64)[:32] and "f" * 64 in run.data.tags["darkroom_fingerprint"]
    assert [item.path for item in see.list_artifacts(run.info.run_id, "plots")] == ["plots/curve.png"]

    versions = sorted(see.search_model_versions(f"name = '{job.id}'"), key=lambda version: int(version.version))
    assert [version.tags["darkroom_version"] for version in versions] == ["v1", "v2"]
    assert [version.run_id for version in versions] == [
        get_run(platform.db, run_id).mlflow_run_id for run_id in (second.id, first.id)
    ]
    assert see.get_model_version_by_alias(job.id, "production").version == "2"
    assert [version.mlflow_version for version in versions_of(platform, job.id)] == ["1", "2"]
    mlflow.set_tracking_uri(mlflow_url)
    folder = mlflow.artifacts.download_artifacts(f"models:/{job.id}@production", dst_path=str(tmp_path / "down"))
    assert (Path(folder) / "best.pt").read_text() == f"best.pt of {first.id}"


def test_a_mirror_that_forgot_everything_makes_nothing_twice(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    published(platform, trained(platform, job.id, tmp_path), tmp_path)
    mirror(platform)
    forgotten = {"mlflow_run_id": None, "mirror_seq": 0, "mirrored_at": None}
    with platform.db.transaction() as session:  # as if each answer of MLflow had been followed by a crash
        session.execute(update(RunRow).values(**forgotten))
        session.execute(update(VersionRow).values(mlflow_version=None))
    mirror(platform)

    see = client(mlflow_url)
    experiment = see.get_experiment_by_name(job.id)
    runs = see.search_runs([experiment.experiment_id])
    assert len(runs) == 1 and len(see.search_model_versions(f"name = '{job.id}'")) == 1
    assert len(see.get_metric_history(runs[0].info.run_id, "mAP50")) == 2
    assert runs[0].info.status == "FINISHED"


def test_with_mlflow_down_runs_go_on_and_the_mirror_catches_up(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    down = sync_of(platform, mlflow_url=f"http://127.0.0.1:{free_port()}")
    claim = trained(platform, job.id, tmp_path)
    down()
    failing = trained(platform, job.id, tmp_path)
    fail_attempt(platform.db, RunRow, failing, Diverged())
    published(platform, claim, tmp_path)
    down()
    assert get_run(platform.db, claim.id).mlflow_run_id is None

    mirror(platform)

    see = client(mlflow_url)
    states = {
        run.info.run_name: (run.info.status, run.data.tags.get("darkroom_problem"))
        for run in see.search_runs([see.get_experiment_by_name(job.id).experiment_id])
    }
    assert states == {claim.id: ("FINISHED", None), failing.id: ("FAILED", "diverged")}


def test_a_deleted_job_leaves_no_model_and_no_weights_in_mlflow(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job, kept = ready_job(platform), ready_job(platform)
    for each in (job, kept):
        published(platform, trained(platform, each.id, tmp_path), tmp_path)
    mirror(platform)
    run, kept_run = (get_run(platform.db, versions_of(platform, each.id)[0].run_id) for each in (job, kept))
    delete_job(platform, job.id)
    sync_of(platform, mlflow_url=f"http://127.0.0.1:{free_port()}")()  # down: tried again
    assert jobs_to_forget(platform.db, but_not=set()) == [job.id]
    mirror(platform)

    see = client(mlflow_url)
    assert see.search_model_versions(f"name = '{job.id}'") == []
    assert see.search_registered_models(f"name = '{job.id}'") == []
    assert see.get_run(run.mlflow_run_id).info.lifecycle_stage == "deleted"
    assert see.get_experiment_by_name(job.id).lifecycle_stage == "deleted"
    assert see.list_artifacts(run.mlflow_run_id) == []
    assert [each.path for each in see.list_artifacts(kept_run.mlflow_run_id, "model")] == [
        "model/best.pt",
        "model/model.json",
    ]
    assert len(see.search_model_versions(f"name = '{kept.id}'")) == 1
    assert jobs_to_forget(platform.db, but_not=set()) == []
    open_tracker(platform.settings).forget(job.id)  # as after a crash before the row was written


def test_classes_of_printed_formulas_have_metrics_of_their_own(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    classes = (".", "+", "=", "(", ")", "7", "..", "/", "🍎 apfel", "🍎" * 200, "_x2B_", "\ud800", "a/b")
    job = ready_job(platform)
    claim = trained(platform, job.id, tmp_path)
    published(platform, claim, tmp_path, classes)
    mirror(platform)

    see = client(mlflow_url)
    (version,) = see.search_model_versions(f"name = '{job.id}'")
    run = see.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    measured = {name: value for name, value in run.data.metrics.items() if name.endswith("/f1")}
    assert sorted(measured.values()) == [number / 8 for number in range(len(classes))]
    assert measured["test/per_class/7/f1"] == 5 / 8 and measured["test/per_class/_x2E_/f1"] == 0.0


def test_a_refused_run_shows_its_reason_and_does_not_delay_the_next_version(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    first, second = (trained(platform, job.id, tmp_path) for _ in range(2))
    sync = MlflowSync(platform, "test")
    sync()
    see = client(mlflow_url)
    see.delete_run(get_run(platform.db, first.id).mlflow_run_id)  # MLflow refuses what is logged to it from now on
    for claim in (first, second):
        published(platform, claim, tmp_path)
    for _ in range(2):
        sync()

    with serving(platform) as service:
        run, version = copies(service, job.id, first.id)
        assert run["state"] == version["state"] == "failed"
        assert run["detail"] == version["detail"] and "active" in run["detail"]
        run, version = copies(service, job.id, second.id)
        assert (run["state"], version["state"], version["version"]) == ("synced", "synced", "1")
        assert run["link"] == f"{mlflow_url}/#/runs/{get_run(platform.db, second.id).mlflow_run_id}"
        check = service.get("/ready").json()["checks"]["mlflow"]
        assert (check["state"], "refused 1 run" in check["detail"]) == ("degraded", True)

    mirror(platform)  # another process tries it again
    with serving(platform) as service:
        run, version = copies(service, job.id, first.id)
        assert (run["state"], run["detail"], version["version"]) == ("synced", None, "2")
        assert service.get("/ready").json()["checks"]["mlflow"]["state"] == "ok"


def test_a_run_waits_until_mlflow_has_it(platform: Platform, tmp_path: Path) -> None:
    job = ready_job(platform)
    claim = trained(platform, job.id, tmp_path)
    published(platform, claim, tmp_path)
    with serving(platform) as service:
        run, version = copies(service, job.id, claim.id)
        assert (run["state"], run["run_id"], version["state"], version["version"]) == ("waiting", None, "waiting", None)
    with serving(platform, mlflow_url="") as service:
        assert copies(service, job.id, claim.id) == (None, None)


def copies(service: httpx.Client, job_id: str, run_id: str) -> tuple[Any, Any]:
    """`mlflow` of a run and of its version."""
    run = service.get(f"/runs/{run_id}").json()
    return run["mlflow"], service.get(f"/models/{job_id}/v{run['version']}").json()["mlflow"]
