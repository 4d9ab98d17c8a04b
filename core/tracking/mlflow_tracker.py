"""MLflow as the run tracker. Explicit ids on a client, never the fluent API's globals.

A job is an experiment and a registered model, a run is a run (found by the tag `darkroom_run`), and a version is a
version of that model (found by the tag `darkroom_version`).
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from core.domain.errors import Unavailable
from core.tracking import Point, Status, TrackedRun, TrackedVersion, TrackerRefused
from core.tracking.metric_names import metric_name

RUN_TAG, VERSION_TAG = "darkroom_run", "darkroom_version"
DIGEST_LENGTH = 32  # MLflow allows 36 characters; the whole fingerprint is in a tag
POINTS_AT_ONCE = 1000  # MLflow's limit for one batch
PARAMS_AT_ONCE = 100
RUNS_AT_ONCE = 200
MODEL_FOLDER = "model"

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# MLflow's pages then begin with metrics and curves; without it they treat an experiment as one about language models.
_KIND_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# Errors that come back however often the call is repeated. All others count as an MLflow that does not answer.
_REFUSALS = frozenset(
    {
        "ALREADY_EXISTS",
        "BAD_REQUEST",
        "FEATURE_DISABLED",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "INVALID_STATE_TRANSITION",
        "MALFORMED_REQUEST",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "QUOTA_EXCEEDED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_CONFLICT",
        "RESOURCE_DOES_NOT_EXIST",  # deleted in MLflow
        "RESOURCE_LIMIT_EXCEEDED",
    }
)


def open_mlflow(url: str) -> "MlflowTracker":
    """Connects to nothing yet. Sets mlflow's timeouts for the whole process: mlflow reads them from the environment."""
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    from mlflow import MlflowClient

    return MlflowTracker(MlflowClient(tracking_uri=url, registry_uri=url))


class MlflowTracker:
    """Safe for one thread."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def begin(self, run: TrackedRun) -> str:
        with _answering():
            experiment_id = self._experiment(run)
            found = self._client.search_runs([experiment_id], f"tags.{RUN_TAG} = '{run.run_id}'", max_results=1)
            tracked = found[0] if found else self._create(experiment_id, run)
            tracked_id = str(tracked.info.run_id)
            if tracked.info.status != "RUNNING":
                self._client.update_run(tracked_id, status="RUNNING")  # a retried run
            self._describe(tracked_id, run)
            return tracked_id

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        metrics = (
            Metric(metric_name(point.path), point.value, point.at_ms, point.step)
            for point in points
            if math.isfinite(point.value)
        )
        with _answering():
            while batch := list(islice(metrics, POINTS_AT_ONCE)):
                self._client.log_batch(tracked_id, metrics=batch)
            if tags:
                self._client.log_batch(
                    tracked_id, tags=[RunTag(name, _text(text)[:5000]) for name, text in tags.items()]
                )

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        with _answering():
            self._client.log_artifact(tracked_id, str(file), folder or None)

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None:
        with _answering():
            self._client.set_terminated(tracked_id, status, at_ms)

    def register(self, version: TrackedVersion) -> str:
        tag = f"v{version.number}"
        with _answering():
            self._registered_model(version)
            for known in self._client.search_model_versions(f"name = '{version.job_id}'"):
                if known.tags.get(VERSION_TAG) == tag:
                    return str(known.version)
            made = self._client.create_model_version(
                version.job_id,
                f"runs:/{version.tracked_id}/{MODEL_FOLDER}",
                run_id=version.tracked_id,
                await_creation_for=0,
                tags={
                    VERSION_TAG: tag,
                    RUN_TAG: version.run_id,
                    "darkroom_job": version.job_id,
                    "darkroom_fingerprint": version.fingerprint,
                },
            )
            return str(made.version)

    def alias(self, job_id: str, alias: str, name: str) -> None:
        with _answering():
            self._client.set_registered_model_alias(job_id, alias, name)

    def remove_alias(self, job_id: str, alias: str) -> None:
        with _answering(), _if_there():
            self._client.delete_registered_model_alias(job_id, alias)

    def forget(self, job_id: str) -> None:
        with _answering():
            with _if_there():
                self._client.delete_registered_model(job_id)
            known = self._client.get_experiment_by_name(job_id)
            if known is None:
                return
            for run in self._runs(known.experiment_id):
                self._delete_artifacts(run)
                if run.info.lifecycle_stage == "active":
                    self._client.delete_run(run.info.run_id)
            if known.lifecycle_stage == "active":
                self._client.delete_experiment(known.experiment_id)

    def _runs(self, experiment_id: str) -> Iterator[Any]:
        """Every run of an experiment, also those marked as deleted."""
        from mlflow.entities import ViewType

        token: str | None = None
        while True:
            page = self._client.search_runs(
                [experiment_id], run_view_type=ViewType.ALL, max_results=RUNS_AT_ONCE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _delete_artifacts(self, run: Any) -> None:
        """MLflow itself deletes them with `mlflow gc` alone, which no client can call."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        store = get_artifact_repository(run.info.artifact_uri, tracking_uri=self._client.tracking_uri)
        store.delete_artifacts()

    def _experiment(self, run: TrackedRun) -> str:
        known = self._client.get_experiment_by_name(run.job_id)
        if known is None:
            tags = {"darkroom_job": run.job_id, "darkroom_job_name": run.job_name, **_KIND_TAGS}
            return str(self._client.create_experiment(run.job_id, tags=tags))
        if known.lifecycle_stage != "active":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _create(self, experiment_id: str, run: TrackedRun) -> Any:
        tags = {
            RUN_TAG: run.run_id,
            "darkroom_job": run.job_id,
            "darkroom_job_name": run.job_name,
            "darkroom_trainer": run.trainer,
            "darkroom_fingerprint": run.fingerprint,
        }
        return self._client.create_run(experiment_id, start_time=run.started_ms, tags=tags, run_name=run.run_id)

    def _describe(self, tracked_id: str, run: TrackedRun) -> None:
        """Log the params and the dataset as an input; repeated calls change nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        params = (
            Param(metric_name(name.split("/")), _text(value)[:6000]) for name, value in sorted(run.params.items())
        )
        while batch := list(islice(params, PARAMS_AT_ONCE)):
            self._client.log_batch(tracked_id, params=batch)
        dataset = Dataset(
            name=run.job_name[:500] or run.job_id,
            digest=run.fingerprint[:DIGEST_LENGTH],
            source_type="darkroom",
            source=f'{{"job_id": "{run.job_id}", "fingerprint": "{run.fingerprint}"}}',
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self._client.log_inputs(tracked_id, datasets=[used])

    def _registered_model(self, version: TrackedVersion) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(
                version.job_id, tags={"darkroom_job": version.job_id, "darkroom_job_name": version.job_name}
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextmanager
def _answering() -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except MlflowException as error:
        if error.error_code in _REFUSALS:
            raise TrackerRefused(str(error)[:500]) from error
        raise Unavailable("MLflow does not answer.", service="mlflow", cause=str(error)[:200]) from error
    except (RequestException, OSError) as error:
        raise Unavailable("MLflow does not answer.", service="mlflow", cause=str(error)[:200]) from error


@contextmanager
def _if_there() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _text(value: object) -> str:
    """Without lone surrogates, which are no UTF-8, and NUL characters, which PostgreSQL refuses."""
    return str(value).encode(errors="backslashreplace").decode().replace("\0", "\\0")
