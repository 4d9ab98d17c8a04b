"""A project in MLflow: its name, its versions, copies of before, and what deleting leaves; through a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from core import clock
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.jobs.project_deletion import delete_project
from core.services.models.mlflow_sync import count_refused_changes, jobs_to_forget, projects_to_forget
from core.services.models.versions import set_alias
from core.services.projects.commands import update_project
from core.services.runs.commands import get_run
from core.tracking import TrackerRefused
from tests.builders.mirrored import (
    VIEW,
    client,
    imported_version,
    mirror,
    mirroring,
    old_copies,
    project_of,
    published,
    sync_of,
    trained,
)
from tests.builders.rows import ready_job, versions_of
from tests.servers import free_port
from tests.servers.api import serving
from worker.tasks.mlflow_sync import MlflowSync

pytestmark = pytest.mark.slow  # `make test` covers the sync by test_mlflow_sync.py, with another server


@pytest.fixture
def platform(tmp_path: Path, sqlite_url: str, mlflow_url: str) -> Iterator[Platform]:
    with mirroring(tmp_path / "home", sqlite_url, mlflow_url) as opened:
        yield opened


def test_a_deleted_job_leaves_no_model_and_no_weights_in_mlflow(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    job, kept = ready_job(platform), ready_job(platform)
    for each in (job, kept):
        published(platform, trained(platform, each.id, tmp_path), tmp_path)
    mirror(platform)
    run, kept_run = (get_run(platform.db, str(versions_of(platform, each.id)[0].run_id)) for each in (job, kept))
    project, slug = project_of(platform, job.id), project_of(platform, kept.id).slug
    see = client(mlflow_url)
    models = [
        see.get_logged_model(see.get_run(each.mlflow_run_id).outputs.model_outputs[0].model_id)
        for each in (run, kept_run)
    ]
    delete_job(platform, job.id)
    sync_of(platform, mlflow_url=f"http://127.0.0.1:{free_port()}")()  # down: tried again
    assert [row.id for row in jobs_to_forget(platform.db, but_not=set())] == [job.id]
    mirror(platform)

    assert see.search_registered_models(f"name = '{project.slug}'") == []
    assert see.get_run(run.mlflow_run_id).info.lifecycle_stage == "deleted"
    assert see.get_experiment_by_name(project.slug).lifecycle_stage == "deleted"
    assert see.list_artifacts(run.mlflow_run_id) == []
    files = [get_artifact_repository(each.artifact_location, mlflow_url).list_artifacts() for each in models]
    assert [[file.path for file in listed] for listed in files] == [[], ["best.pt", "model.json"]]
    assert len(see.search_model_versions(f"name = '{slug}'")) == 1
    assert not jobs_to_forget(platform.db, but_not=set()) and not projects_to_forget(platform.db, but_not=set())
    with platform.db.transaction() as session:  # as after a crash before the rows were written
        session.execute(update(JobRow).where(JobRow.id == job.id).values(mlflow_deleted_at=None))
        session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(mlflow_name=project.slug))
    mirror(platform)
    assert not jobs_to_forget(platform.db, but_not=set()) and not projects_to_forget(platform.db, but_not=set())


def test_of_a_project_the_versions_of_a_deleted_job_go_and_the_others_stay(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    jobs = [ready_job(platform, project="otters") for _ in range(2)]
    for each in jobs:
        published(platform, trained(platform, each.id, tmp_path), tmp_path)
    mirror(platform)
    first, second = (get_run(platform.db, str(versions_of(platform, each.id)[0].run_id)) for each in jobs)
    see = client(mlflow_url)
    see.create_registered_model("of-people")
    see.create_model_version("of-people", f"runs:/{first.mlflow_run_id}/x", first.mlflow_run_id, await_creation_for=0)
    delete_job(platform, jobs[0].id)
    mirror(platform)

    assert len(see.search_model_versions("name = 'of-people'")) == 1
    assert [version.version for version in see.search_model_versions("name = 'otters'")] == ["2"]
    assert [run.info.run_id for run in see.search_runs([second.mlflow_experiment_id])] == [second.mlflow_run_id]
    assert see.list_artifacts(first.mlflow_run_id) == []
    assert [item.path for item in see.list_artifacts(second.mlflow_run_id, "plots")] == ["plots/curve.png"]


def test_a_deleted_project_leaves_no_model_and_no_weights_of_imported_versions_either(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    job = ready_job(platform, project="stoats")
    project = project_of(platform, job.id)
    imported_version(platform, project, job, tmp_path)
    mirror(platform)
    see = client(mlflow_url)
    (version,) = see.search_model_versions("name = 'stoats'")
    model = see.get_logged_model(version.source.removeprefix("models:/"))
    delete_project(platform, "stoats")
    mirror(platform)

    assert see.search_registered_models("name = 'stoats'") == []
    assert see.get_experiment_by_name("stoats").lifecycle_stage == "deleted"
    assert get_artifact_repository(model.artifact_location, mlflow_url).list_artifacts() == []
    assert project_of(platform, job.id).mlflow_name is None


def test_a_project_that_a_crash_left_without_a_copy_is_deleted_all_the_same(
    platform: Platform, mlflow_url: str
) -> None:
    job = ready_job(platform, project="minks")
    project = project_of(platform, job.id)
    with platform.db.transaction() as session:  # as before MLflow's first answer
        values = {"mlflow_name": "minks", "deleted_at": clock.now()}
        session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(**values))
    mirror(platform)
    assert not projects_to_forget(platform.db, but_not=set())
    assert client(mlflow_url).get_experiment_by_name("minks") is None


def test_a_deletion_that_mlflow_refuses_is_reported_until_it_succeeds(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    published(platform, trained(platform, job.id, tmp_path), tmp_path)
    mirror(platform)
    delete_job(platform, job.id)

    class Refusing:
        def __getattr__(self, _name: str) -> Any:
            def refuse(*_: Any) -> Any:
                raise TrackerRefused("FEATURE_DISABLED")

            return refuse

    MlflowSync(platform, "test", Refusing())()
    with serving(platform) as service:
        check = service.get("/ready").json()["checks"]["mlflow"]
        assert (check["state"], "projects (1) and deletions of jobs (1)" in check["detail"]) == ("degraded", True)
    mirror(platform)  # another process tries it again
    assert count_refused_changes(platform.db) == (0, 0)


def test_a_renamed_project_is_renamed_with_all_that_names_it(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform, project="badgers")
    published(platform, trained(platform, job.id, tmp_path), tmp_path)
    set_alias(platform.db, job.id, "production", version="v1")
    mirror(platform)
    project = project_of(platform, job.id)
    assert (project.mlflow_name, project.mlflow_updated_at) == ("badgers", project.updated_at)
    see = client(mlflow_url)
    see.create_registered_model("dachse")  # not of ours
    update_project(platform.db, "badgers", slug="dachse", title="Dachse *im* Garten")
    mirror(platform)

    name = f"dachse_{project.id[-8:].lower()}"
    experiment = see.get_experiment(project_of(platform, job.id).mlflow_experiment_id)
    assert (experiment.name, experiment.experiment_id) == (name, project.mlflow_experiment_id)
    assert "Dachse \\*im\\* Garten" in experiment.tags["mlflow.note.content"]
    version = see.get_model_version_by_alias(name, "production")
    assert "**dachse/v1**" in version.description and version.tags["darkroom.dataset"] == "dachse/d1"
    assert "**dachse/v1**" in see.get_run(version.run_id).data.tags["mlflow.note.content"]
    assert see.search_registered_models("name = 'badgers'") == []
    with serving(platform) as service:
        copy = service.get("/projects/dachse").json()["mlflow"]
        page = f"{mlflow_url}/#/experiments/{project.mlflow_experiment_id}{VIEW}"
        assert (copy["state"], copy["name"], copy["link"]) == ("synced", name, page)
        copy = service.get(f"/models/{job.id}/v1").json()["mlflow"]
        assert (copy["model"], copy["version_link"]) == (name, f"{mlflow_url}/#/models/{name}/versions/1{VIEW}")
    see.delete_registered_model("dachse")


def test_copies_of_before_there_were_projects_are_renamed_and_not_doubled(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform)
    done, going = trained(platform, job.id, tmp_path), trained(platform, job.id, tmp_path)
    version, see = published(platform, done, tmp_path), client(mlflow_url)
    set_alias(platform.db, job.id, "production", version="v1")
    experiment_id, runs = old_copies(see, job.id, done.id, going.id)
    project = project_of(platform, job.id)
    with platform.db.transaction() as session:  # as the migration leaves them
        for claim in (done, going):
            known: dict[str, Any] = {"mlflow_run_id": runs[claim.id]}
            known |= {"mirrored_at": clock.now(), "mirror_seq": 99} if claim is done else {"mirror_seq": 2}
            session.execute(update(RunRow).where(RunRow.id == claim.id).values(**known))
        session.execute(update(VersionRow).where(VersionRow.id == version.id).values(mlflow_version="1"))
        session.execute(update(AliasRow).values(mirrored_number=1))
        before = {"mlflow_name": job.id, "mlflow_updated_at": clock.now()}
        session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(**before))
    published(platform, going, tmp_path)
    mirror(platform)

    experiment = see.get_experiment(experiment_id)
    assert (experiment.name, see.get_experiment_by_name(job.id)) == (project.slug, None)
    found = {run.info.run_id: run for run in see.search_runs([experiment_id])}
    assert {run_id: run.info.run_name for run_id, run in found.items()} == {
        runs[done.id]: "yolo · v1",
        runs[going.id]: "yolo · v2",
    }
    tags = [name for thing in (experiment, *(run.data for run in found.values())) for name in thing.tags]
    assert [name for name in tags if name.startswith("darkroom_")] == []
    versions = sorted(see.search_model_versions(f"name = '{project.slug}'"), key=lambda found: found.version)
    assert [(each.version, each.run_id) for each in versions] == [("1", runs[done.id]), ("2", runs[going.id])]
    assert versions[0].description == found[runs[done.id]].data.tags["mlflow.note.content"]
    assert [name for name in versions[0].tags if name.startswith("darkroom_")] == []
    assert see.get_model_version_by_alias(project.slug, "production").version == "1"
    assert see.search_registered_models(f"name = '{job.id}'") == []


def test_imported_and_fine_tuned_versions_have_pages_that_name_where_they_come_from(
    platform: Platform, mlflow_url: str, tmp_path: Path
) -> None:
    job = ready_job(platform, project="martens")
    project = project_of(platform, job.id)
    imported = imported_version(platform, project, job, tmp_path)
    claim = trained(platform, job.id, tmp_path)
    with platform.db.transaction() as session:
        session.execute(update(RunRow).where(RunRow.id == claim.id).values(parent_id=imported.id))
    published(platform, claim, tmp_path)
    mirror(platform)

    see = client(mlflow_url)
    first, second = sorted(see.search_model_versions("name = 'martens'"), key=lambda found: found.version)
    run = see.get_run(first.run_id)
    assert (run.info.run_name, run.info.status) == ("theirs · v1", "FINISHED")
    assert (
        "**martens/v1**: imported from theirs.pt, evaluated on martens/d1 (10 images)." in first.description
        and first.tags["darkroom.origin"] == "imported"
    )
    assert run.data.metrics == {"test/mAP50": 0.75} and run.data.params["source/name"] == "theirs.pt"
    assert run.inputs.dataset_inputs[0].tags[0].value == "evaluation" and "darkroom.job" not in run.data.tags
    assert [file.path for file in see.list_logged_model_artifacts(first.source.removeprefix("models:/"))] == ["best.pt"]
    assert (
        "**martens/v2**: fine-tuned from martens/v1 with yolo on martens/d1 (10 images)." in second.description
        and second.tags["darkroom.parent"] == "martens/v1"
    )
    assert see.get_run(second.run_id).info.run_name == "from v1 · v2"
    with serving(platform) as service:
        copy = service.get("/models/martens/v1").json()["mlflow"]
        page = f"{mlflow_url}/#/experiments/{run.info.experiment_id}/runs/{first.run_id}{VIEW}"
        assert (copy["state"], copy["version"], copy["link"]) == ("synced", "1", page)
