"""JSON of what MLflow has of a run or a model version."""

from typing import Literal

from pydantic import BaseModel, Field

from core.db.tables import RunRow, VersionRow
from core.domain.states import RUN_ENDED
from core.services.views import RunCopy

_TRIED_AGAIN = "It is tried again when a worker starts."
State = Literal["synced", "waiting", "failed"]


class MlflowRun(BaseModel):
    """The copy of a run in MLflow; null where no MLflow is configured."""

    state: State = Field(
        description="`synced`: MLflow has everything so far. `waiting`: it follows as soon as MLflow answers. "
        "`failed`: MLflow refused it."
    )
    detail: str | None = Field(description="Why MLflow refused it.")
    run_id: str | None = Field(description="The run in MLflow, once it exists.")
    link: str | None = Field(description="The page of the run in MLflow.")


class MlflowVersion(MlflowRun):
    """The copy of a model version, and of its run, in MLflow; null where no MLflow is configured."""

    version: str | None = Field(description="Version of the registered model in MLflow, which is named after the job.")


def mlflow_run(run: RunRow, *, mlflow_link: str) -> MlflowRun | None:
    if not mlflow_link:
        return None
    return MlflowRun(
        state=_state(run.mlflow_refused, synced=_is_synced(run)),
        detail=_detail(run.mlflow_refused),
        run_id=run.mlflow_run_id,
        link=_page(run, mlflow_link),
    )


def mlflow_version(version: VersionRow, run: RunCopy | None, *, mlflow_link: str) -> MlflowVersion | None:
    if not mlflow_link or run is None:
        return None
    refused = version.mlflow_refused or run.mlflow_refused
    return MlflowVersion(
        state=_state(refused, synced=_is_synced(run) and version.mlflow_version is not None),
        detail=_detail(refused),
        run_id=run.mlflow_run_id,
        link=_page(run, mlflow_link),
        version=version.mlflow_version,
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


def _page(run: RunRow | RunCopy, mlflow_link: str) -> str | None:
    """The address that MLflow accepts without the id of the experiment."""
    return f"{mlflow_link.rstrip('/')}/#/runs/{run.mlflow_run_id}" if run.mlflow_run_id else None
