"""MLflow as the run tracker. Explicit ids on a client, never the fluent API's globals.

A run is found by the tag that is its identity, `darkroom.run` for one of ours; before there were projects that was
`darkroom_run`.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from core.tracking import (
    Page,
    Point,
    ProjectCopy,
    Status,
    TrackedDataset,
    TrackedModel,
    TrackedProject,
    TrackedRun,
    TrackedVersion,
    mlflow_models,
    mlflow_projects,
)
from core.tracking.metric_names import metric_name
from core.tracking.mlflow_calls import OLD_TAG, TAG, answering, found, old_tags, tags_of, text

POINTS_AT_ONCE = 1000  # MLflow's limit for one batch
PARAMS_AT_ONCE = 100
DIGEST_LENGTH = 12  # it is displayed beside the dataset's name; the whole fingerprint is in a tag

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def open_mlflow(url: str) -> "MlflowTracker":
    """Connects to nothing yet. Sets mlflow's timeouts for the whole process: mlflow reads them from the environment."""
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    from mlflow import MlflowClient

    return MlflowTracker(MlflowClient(tracking_uri=url, registry_uri=url))


class MlflowTracker:
    """Safe for one thread."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def open_project(self, project: TrackedProject) -> ProjectCopy:
        with answering():
            return mlflow_projects.open_project(self._client, project)

    def begin(self, run: TrackedRun) -> str:
        with answering():
            tracked = self._found(run) or self._create(run)
            tracked_id = str(tracked.info.run_id)
            if tracked.info.status != "RUNNING":
                self._client.update_run(tracked_id, status="RUNNING")  # a retried run
            self._describe(tracked, run.page)
            self._log_inputs(tracked_id, run)
            return tracked_id

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric

        metrics = (
            Metric(metric_name(point.path), point.value, point.at_ms, point.step)
            for point in points
            if math.isfinite(point.value)
        )
        with answering():
            self._log_metrics(tracked_id, metrics)
            if tags:
                named = {TAG + name: text(value)[:5000] for name, value in tags.items()}
                self._set_tags(tracked_id, named)

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        with answering():
            self._client.log_artifact(tracked_id, str(file), folder or None)

    def describe(self, tracked_id: str, page: Page) -> None:
        with answering():
            self._describe(self._client.get_run(tracked_id), page)

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None:
        with answering():
            self._client.set_terminated(tracked_id, status, at_ms)

    def begin_model(self, model: TrackedModel) -> str:
        with answering():
            model_id = mlflow_models.begin_model(self._client, model)
            mlflow_models.link_to_run(self._client, model_id, model.tracked_id)
            return model_id

    def keep_in_model(self, model_id: str, file: Path) -> None:
        with answering():
            self._client.log_model_artifact(model_id, str(file))

    def finish_model(
        self, model_id: str, tracked_id: str, points: Sequence[Point], dataset: TrackedDataset | None
    ) -> None:
        from mlflow.entities import Metric

        measured_on = _names_of(dataset) if dataset is not None else {}
        metrics = (
            Metric(
                metric_name(point.path),
                point.value,
                point.at_ms,
                point.step,
                model_id=model_id,
                run_id=tracked_id,
                **measured_on,
            )
            for point in points
            if math.isfinite(point.value)
        )
        with answering():
            self._log_metrics(tracked_id, metrics)
            self._client.finalize_logged_model(model_id, "READY")

    def register(self, version: TrackedVersion) -> str:
        with answering():
            return mlflow_models.register(self._client, version)

    def describe_version(self, model: str, name: str, model_id: str | None, page: Page) -> None:
        with answering():
            mlflow_models.describe_version(self._client, model, name, page)
            if model_id is not None:
                self._client.set_logged_model_tags(model_id, tags_of(page))

    def alias(self, model: str, alias: str, name: str) -> None:
        with answering():
            self._client.set_registered_model_alias(model, alias, name)

    def remove_alias(self, model: str, alias: str) -> None:
        with answering():
            found(self._client.delete_registered_model_alias, model, alias)

    def forget_version(self, project: TrackedProject, tracked_id: str, *, with_run: bool) -> None:
        with answering():
            mlflow_projects.forget_version(self._client, project, tracked_id, with_run=with_run)

    def forget_job(self, project: TrackedProject, job_id: str) -> None:
        with answering():
            mlflow_projects.forget_job(self._client, project, job_id)

    def forget_project(self, project: TrackedProject) -> None:
        with answering():
            mlflow_projects.forget_project(self._client, project)

    def _found(self, run: TrackedRun) -> Any | None:
        """None also for a run that was deleted in MLflow."""
        name, value = run.identity
        if run.tracked_id is not None:
            known = found(self._client.get_run, run.tracked_id)
            tags = known.data.tags if known is not None and known.info.lifecycle_stage == "active" else {}
            if value in (tags.get(TAG + name), tags.get(OLD_TAG + name)):
                return known
        for prefix in (TAG, OLD_TAG):
            query = f"tags.`{prefix}{name}` = '{value}'"
            tagged = self._client.search_runs([run.experiment_id], query, max_results=1)
            if tagged:
                return tagged[0]
        return None

    def _create(self, run: TrackedRun) -> Any:
        tags = tags_of(run.page) | {TAG + run.identity[0]: run.identity[1]}
        return self._client.create_run(
            run.experiment_id, start_time=run.started_ms, tags=tags, run_name=text(run.page.name)
        )

    def _describe(self, tracked: Any, page: Page) -> None:
        tracked_id, known = tracked.info.run_id, tracked.data.tags
        if tracked.info.run_name != page.name:
            self._client.update_run(tracked_id, name=text(page.name))
        wanted = tags_of(page)
        self._set_tags(tracked_id, {name: value for name, value in wanted.items() if known.get(name) != value})
        for name in old_tags(known):
            self._client.delete_tag(tracked_id, name)

    def _set_tags(self, tracked_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        if tags:
            self._client.log_batch(tracked_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _log_metrics(self, tracked_id: str, metrics: Iterator[Any]) -> None:
        while batch := list(islice(metrics, POINTS_AT_ONCE)):
            self._client.log_batch(tracked_id, metrics=batch)

    def _log_inputs(self, tracked_id: str, run: TrackedRun) -> None:
        """Log the params and the dataset; repeated calls change nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        params = (Param(metric_name(name.split("/")), text(value)[:6000]) for name, value in sorted(run.params.items()))
        while batch := list(islice(params, PARAMS_AT_ONCE)):
            self._client.log_batch(tracked_id, params=batch)
        if run.dataset is None:
            return
        names = _names_of(run.dataset)
        dataset = Dataset(
            name=names["dataset_name"],
            digest=names["dataset_digest"],
            source_type="darkroom",
            source=run.dataset.source,
            profile=f'{{"num_rows": {run.dataset.images}}}',
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", run.dataset.use)])
        self._client.log_inputs(tracked_id, datasets=[used])


def _names_of(dataset: TrackedDataset) -> dict[str, str]:
    return {"dataset_name": dataset.name, "dataset_digest": dataset.digest[:DIGEST_LENGTH]}
