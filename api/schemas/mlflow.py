"""JSON of what MLflow has of a project, a run or a model version."""

from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from core.db.tables import ProjectRow, RunRow, VersionRow
from core.domain.states import RUN_ENDED
from core.services.views import ProjectCopy, RunCopy

# MLflow opens its pages about language models otherwise.
_VIEW = "?workflowType=machine_learning"
_TRIED_AGAIN = "It is tried again when a worker starts."
State = Literal["synced", "waiting", "failed"]


class MlflowCopy(BaseModel):
    """What MLflow has of something; null where no MLflow is configured."""

    state: State = Field(
        description="`synced`: MLflow has everything so far. `waiting`: it follows as soon as MLflow answers. "
        "`failed`: MLflow refused it."
    )
    detail: str | None = Field(description="Why MLflow refused it.")


class MlflowProject(MlflowCopy):
    """The experiment and the registered model of a project in MLflow; null until it has a run or an imported version,
    and where no MLflow is configured."""

    name: str | None = Field(
        description="The name of both: that of the project, with a suffix where something else in MLflow has it."
    )
    experiment_id: str | None
    link: str | None = Field(description="The page of the experiment in MLflow.")


class MlflowRun(MlflowCopy):
    """The copy of a run in MLflow; null where no MLflow is configured."""

    run_id: str | None = Field(description="The run in MLflow, once it exists.")
    link: str | None = Field(description="The page of the run in MLflow.")


class MlflowVersion(MlflowRun):
    """The copy of a model version, and of its run, in MLflow; null where no MLflow is configured."""

    model: str | None = Field(description="The registered model in MLflow, which is called as the project.")
    version: str | None = Field(description="Version of that registered model.")
    version_link: str | None = Field(description="The page of that version in MLflow.")


def mlflow_project(project: ProjectRow, *, mlflow_link: str) -> MlflowProject | None:
    if not mlflow_link or project.mlflow_name is None:
        return None
    experiment_id = project.mlflow_experiment_id
    return MlflowProject(
        state=_state(project.mlflow_refused, synced=project.mlflow_updated_at == project.updated_at),
        detail=_detail(project.mlflow_refused),
        name=project.mlflow_name,
        experiment_id=experiment_id,
        link=f"{_pages(mlflow_link)}/experiments/{experiment_id}{_VIEW}" if experiment_id else None,
    )


def mlflow_run(run: RunRow, *, mlflow_link: str) -> MlflowRun | None:
    if not mlflow_link:
        return None
    return MlflowRun(
        state=_state(run.mlflow_refused, synced=_is_synced(run)),
        detail=_detail(run.mlflow_refused),
        run_id=run.mlflow_run_id,
        link=_page(run.mlflow_run_id, run.mlflow_experiment_id, mlflow_link),
    )


def mlflow_version(
    version: VersionRow, run: RunCopy | None, project: ProjectCopy, *, mlflow_link: str
) -> MlflowVersion | None:
    """`run`: None for an imported version, for which a run in MLflow stands that has no row."""
    if not mlflow_link:
        return None
    refused = version.mlflow_refused or (run.mlflow_refused if run is not None else None)
    experiment_id = run.mlflow_experiment_id if run is not None else project.mlflow_experiment_id
    run_id = run.mlflow_run_id if run is not None else version.mlflow_run_id
    registered = version.mlflow_version is not None
    return MlflowVersion(
        state=_state(refused, synced=registered and (run is None or _is_synced(run))),
        detail=_detail(refused),
        run_id=run_id,
        link=_page(run_id, experiment_id, mlflow_link),
        model=project.mlflow_name if registered else None,
        version=version.mlflow_version,
        version_link=_version_page(version, project, mlflow_link) if registered else None,
    )


def _is_synced(run: RunRow | RunCopy) -> bool:
    complete = run.state not in RUN_ENDED or run.mirrored_at is not None
    return run.mlflow_run_id is not None and complete and run.mirror_seq >= run.event_seq


def _state(refused: str | None, *, synced: bool) -> State:
    if refused:
        return "failed"
    return "synced" if synced else "waiting"


def _detail(refused: str | None) -> str | None:
    return f"MLflow refused it: {refused.rstrip('.')}. {_TRIED_AGAIN}" if refused else None


def _page(run_id: str | None, experiment_id: str | None, mlflow_link: str) -> str | None:
    """Without the id of the experiment, which older rows lack, MLflow finds it out and loses the view."""
    if run_id is None:
        return None
    if experiment_id is None:
        return f"{_pages(mlflow_link)}/runs/{run_id}"
    return f"{_pages(mlflow_link)}/experiments/{experiment_id}/runs/{run_id}{_VIEW}"


def _version_page(version: VersionRow, project: ProjectCopy, mlflow_link: str) -> str | None:
    if project.mlflow_name is None:
        return None
    return f"{_pages(mlflow_link)}/models/{quote(project.mlflow_name)}/versions/{version.mlflow_version}{_VIEW}"


def _pages(mlflow_link: str) -> str:
    return f"{mlflow_link.rstrip('/')}/#"
