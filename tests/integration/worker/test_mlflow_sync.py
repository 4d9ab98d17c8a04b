"""What an MLflow client sees of our rows, through a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core.db.tables import ProjectRow, RunRow, VersionRow
from core.domain.errors import Diverged
from core.domain.retention import FreeableKind
from core.services.context import Platform
from core.services.models.mlflow_sync import versions_to_forget
from core.services.models.versions import set_alias
from core.services.runs.commands import get_run
from core.services.storage.purge import PurgeChoice, request_purge
from core.services.work.endings import fail_attempt
from tests.builders.mirrored import VIEW, client, mirror, mirroring, project_of, published, sync_of, trained
from tests.builders.rows import ready_job, versions_of
from tests.servers import free_port
from tests.servers.api import serving
from worker.context import Worker
from worker.tasks.mlflow_sync import MlflowSync
from worker.tasks.operations.operate import operate


@pytest.fixture
def platform(tmp_path: Path, sqlite_url: str, mlflow_url: str) -> Iterator[Platform]:
    with mirroring(tmp_path / "home", sqlite_url, mlflow_url) as opened:
        yield opened


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
    slug = project_of(platform, job.id).slug
    run = see.get_run(running.info.run_id)
    assert see.get_experiment(run.info.experiment_id).name == slug
    assert running.info.run_name == f"yolo · run {first.id[-6:]}"
    assert (run.info.run_name, run.info.status) == ("yolo · v2", "FINISHED")
    assert run.data.params["epochs"] == "3"
    expected = {"job": job.id, "run": first.id, "version": "v2", "attempt": "1", "state": "succeeded", "project": slug}
    assert {f"darkroom.{name}": value for name, value in expected.items()}.items() <= run.data.tags.items()
    assert (run.data.tags["mlflow.user"], run.data.tags["mlflow.source.name"]) == ("darkroom", "Darkroom, yolo")
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("mAP50 0.900 on test") and "| mAP50 | &emsp;0.900 |" in note
    assert f"[Version](https://darkroom.example/models/{job.id}/v2)" in note
    assert run.data.metrics["test/per_class/star/mAP50"] == 0.8
    assert run.data.metrics["system/cpu_percent"] == 90.0
    used = run.inputs.dataset_inputs[0].dataset
    assert (used.name, used.digest) == ("d1", ("f" * 64)[:12]) and run.data.tags["darkroom.fingerprint"] == "f" * 64
    assert [item.path for item in see.list_artifacts(run.info.run_id, "plots")] == ["plots/curve.png"]

    versions = sorted(see.search_model_versions(f"name = '{slug}'"), key=lambda version: int(version.version))
    assert [version.tags["darkroom.version"] for version in versions] == ["v1", "v2"]
    assert versions[1].description == note
    model = see.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {(metric.key, metric.dataset_name) for metric in model.metrics} >= {("test/mAP50", "d1")}
    assert (model.name, model.status.value, model.tags["mlflow.note.content"]) == ("yolo · v2", "READY", note)
    assert [version.run_id for version in versions] == [
        get_run(platform.db, run_id).mlflow_run_id for run_id in (second.id, first.id)
    ]
    assert see.get_model_version_by_alias(slug, "production").version == "2"
    assert [version.mlflow_version for version in versions_of(platform, job.id)] == ["1", "2"]
    mlflow.set_tracking_uri(mlflow_url)
    folder = mlflow.artifacts.download_artifacts(f"models:/{slug}@production", dst_path=str(tmp_path / "down"))
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
        session.execute(update(VersionRow).values(mlflow_version=None, mlflow_model_id=None))
        session.execute(update(ProjectRow).values(mlflow_experiment_id=None, mlflow_updated_at=None))
    mirror(platform)

    see = client(mlflow_url)
    slug = project_of(platform, job.id).slug
    experiment = see.get_experiment_by_name(slug)
    runs = see.search_runs([experiment.experiment_id])
    assert len(runs) == 1 and len(see.search_model_versions(f"name = '{slug}'")) == 1
    assert len(see.search_logged_models([experiment.experiment_id])) == 1
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
        run.data.tags["darkroom.run"]: (run.info.status, run.data.tags.get("darkroom.problem"))
        for run in see.search_runs([see.get_experiment_by_name(project_of(platform, job.id).slug).experiment_id])
    }
    assert states == {claim.id: ("FINISHED", None), failing.id: ("FAILED", "diverged")}


def test_classes_of_printed_formulas_have_metrics_of_their_own(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    classes = (".", "+", "=", "(", ")", "7", "..", "/", "🍎 apfel", "🍎" * 200, "_x2B_", "\ud800", "a/b")
    job = ready_job(platform)
    claim = trained(platform, job.id, tmp_path)
    published(platform, claim, tmp_path, classes)
    mirror(platform)

    see = client(mlflow_url)
    (version,) = see.search_model_versions(f"name = '{project_of(platform, job.id).slug}'")
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
        row = get_run(platform.db, second.id)
        assert run["link"] == f"{mlflow_url}/#/experiments/{row.mlflow_experiment_id}/runs/{row.mlflow_run_id}{VIEW}"
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


@pytest.mark.slow
def test_a_version_that_was_deleted_singly_leaves_mlflow_and_its_curves_stay(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    first, second = trained(platform, job.id, tmp_path), trained(platform, job.id, tmp_path)
    published(platform, first, tmp_path)
    mirror(platform)
    published(platform, second, tmp_path)
    slug = project_of(platform, job.id).slug
    choice = PurgeChoice([FreeableKind.VERSIONS], keep_versions=1)
    operation = request_purge(platform, slug, choice, limit=1).operation
    assert operation is not None
    operate(Worker(platform, "operations", "w"), operation.id)
    mirror(platform)

    see = client(mlflow_url)
    run = see.get_run(get_run(platform.db, first.id).mlflow_run_id)
    assert (run.info.lifecycle_stage, run.data.metrics["mAP50"]) == ("active", 0.5)
    assert see.list_artifacts(run.info.run_id) == []
    versions = see.search_model_versions(f"name = '{slug}'")
    assert [version.tags["darkroom.version"] for version in versions] == ["v2"]
    models = see.search_logged_models([run.info.experiment_id])
    assert [model.tags["darkroom.version"] for model in models] == ["v2"]
    assert versions_to_forget(platform.db, but_not=set()) == []
