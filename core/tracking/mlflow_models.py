"""A version in MLflow: a logged model with files and results, and a version of the project's registered model."""

from typing import Any

from core.tracking import Page, TrackedModel, TrackedVersion
from core.tracking.metric_names import metric_name
from core.tracking.mlflow_calls import TAG, model_name, note_of, old_tags, registry_tags, tags_of, text
from core.tracking.mlflow_projects import make_model

VERSION_TAG = f"{TAG}version_id"
FOLDER = "model"  # of a run, where older copies have the files
PARAM_LENGTH = 6000


def begin_model(client: Any, model: TrackedModel) -> str:
    query = f"tags.`{VERSION_TAG}` = '{model.version_id}'"
    tagged = client.search_logged_models([model.experiment_id], filter_string=query, max_results=1)
    if tagged:
        return str(tagged[0].model_id)
    made = client.create_logged_model(
        model.experiment_id,
        name=model_name(model.page.name),
        source_run_id=model.tracked_id,
        tags=tags_of(model.page) | {VERSION_TAG: model.version_id},
        params={metric_name(name.split("/")): text(value)[:PARAM_LENGTH] for name, value in model.params.items()},
        model_type=model.trainer,
    )
    return str(made.model_id)


def link_to_run(client: Any, model_id: str, tracked_id: str) -> None:
    """Only with a model as output does MLflow list the run among the training runs; it refuses a second time."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(tracked_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
        client.log_outputs(tracked_id, [LoggedModelOutput(model_id, 0)])


def register(client: Any, version: TrackedVersion) -> str:
    make_model(client, version.project, version.name)
    for known in client.search_model_versions(f"name = '{version.name}' and run_id = '{version.tracked_id}'"):
        return str(known.version)
    source = f"models:/{version.model_id}" if version.model_id else f"runs:/{version.tracked_id}/{FOLDER}"
    made = client.create_model_version(
        version.name,
        source,
        run_id=version.tracked_id,
        model_id=version.model_id,
        tags=registry_tags(version.page),
        description=note_of(version.page),
        await_creation_for=0,
    )
    return str(made.version)


def describe_version(client: Any, model: str, name: str, page: Page) -> None:
    known = client.get_model_version(model, name)
    if known.description != note_of(page):
        client.update_model_version(model, name, note_of(page))
    wanted = registry_tags(page)
    for tag in sorted(wanted):
        if known.tags.get(tag) != wanted[tag]:
            client.set_model_version_tag(model, name, tag, wanted[tag])
    for tag in old_tags(known.tags):
        client.delete_model_version_tag(model, name, tag)
