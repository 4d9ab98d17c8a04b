"""A project in MLflow: an experiment and a registered model, both called by its slug.

Its own are known by the tag `darkroom.project_id`; those of copies made before there were projects are called by the
id of the job, and are renamed. Where something else in MLflow has the slug, both get a suffix.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from core.tracking import ProjectCopy, TrackedProject, TrackerRefused
from core.tracking.mlflow_calls import (
    TAG,
    delete_artifacts,
    found,
    made,
    note_of,
    old_tags,
    registry_tags,
    tags_of,
)

PROJECT_TAG, JOB_TAG, OLD_JOB_TAG = f"{TAG}project_id", f"{TAG}job", "darkroom_job"
AT_ONCE = 200
_SUFFIX = 8  # characters of the project's id
# MLflow's pages then begin with metrics and curves; without it they treat an experiment as one about language models.
_KIND_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def open_project(client: Any, project: TrackedProject) -> ProjectCopy:
    """Safe to repeat after a crash in its middle: what is there already is found by its tag."""
    experiment = find_experiment(client, project)
    if experiment is not None and _is_as_wanted(experiment, project):
        return ProjectCopy(str(experiment.experiment_id), experiment.name)
    model = find_model(client, project)
    name = _free_name(client, project, experiment)
    if experiment is None:
        experiment_id = str(client.create_experiment(name, tags=_experiment_tags(project) | _KIND_TAGS))
    else:
        experiment_id = str(experiment.experiment_id)
        _update_experiment(client, project, experiment, name)
    if model is not None:
        _update_model(client, project, model, name)
    return ProjectCopy(experiment_id, name)


def find_experiment(client: Any, project: TrackedProject) -> Any | None:
    """The project's experiment, also one that was deleted in MLflow."""
    from mlflow.entities import ViewType

    if project.experiment_id is not None:
        known = _own(found(client.get_experiment, project.experiment_id), project)
        if known is not None:
            return known
    query = f"tags.`{PROJECT_TAG}` = '{project.project_id}'"
    tagged = client.search_experiments(view_type=ViewType.ALL, filter_string=query, max_results=1)
    return tagged[0] if tagged else _own(client.get_experiment_by_name(project.former), project)


def find_model(client: Any, project: TrackedProject) -> Any | None:
    """The project's registered model."""
    for name in dict.fromkeys(filter(None, (project.name, project.page.name, project.former))):
        model = _own(found(client.get_registered_model, name), project)
        if model is not None:
            return model
    tagged = client.search_registered_models(f"tags.`{PROJECT_TAG}` = '{project.project_id}'", max_results=1)
    return tagged[0] if tagged else None


def make_model(client: Any, project: TrackedProject, name: str) -> None:
    """The registered model with this name, unless there is one. Raises TrackerRefused where it is not the project's."""
    tags = registry_tags(project.page) | {PROJECT_TAG: project.project_id}
    if made(client.create_registered_model, name, tags=tags, description=note_of(project.page)) is not None:
        return
    if _own(found(client.get_registered_model, name), project) is None:
        raise TrackerRefused(f"The registered model {name} in MLflow is not of this project: rename it there")


def forget_version(client: Any, project: TrackedProject, tracked_id: str, *, with_run: bool) -> None:
    run = found(client.get_run, tracked_id)
    if run is None:
        return
    model = find_model(client, project)
    _forget_run(client, run, model.name if model is not None else "", with_run=with_run)


def forget_job(client: Any, project: TrackedProject, job_id: str) -> None:
    experiment = find_experiment(client, project)
    if experiment is None:
        return
    model = find_model(client, project)
    for tag in (JOB_TAG, OLD_JOB_TAG):
        for run in _runs(client, experiment.experiment_id, f"tags.`{tag}` = '{job_id}'"):
            _forget_run(client, run, model.name if model is not None else "")


def forget_project(client: Any, project: TrackedProject) -> None:
    model = find_model(client, project)
    if model is not None:
        found(client.delete_registered_model, model.name)
    experiment = find_experiment(client, project)
    if experiment is None:
        return
    for run in _runs(client, experiment.experiment_id, ""):
        _forget_run(client, run, model.name if model is not None else "")
    if experiment.lifecycle_stage == "active":
        client.delete_experiment(experiment.experiment_id)


def _forget_run(client: Any, run: Any, model: str, *, with_run: bool = True) -> None:
    """`model`: the registered model; other ones may have versions of the run, which people made.

    Last it is marked as deleted: that means complete. Not `with_run`: only what it made goes, and its curves stay.
    """
    run_id = run.info.run_id
    for version in client.search_model_versions(f"name = '{model}' and run_id = '{run_id}'"):
        client.delete_model_version(model, version.version)
    for output in run.outputs.model_outputs if run.outputs else ():
        logged = found(client.get_logged_model, output.model_id)
        if logged is not None:
            delete_artifacts(client, logged.artifact_location)
            client.delete_logged_model(output.model_id)
    delete_artifacts(client, run.info.artifact_uri)
    if with_run and run.info.lifecycle_stage == "active":
        client.delete_run(run_id)


def _runs(client: Any, experiment_id: str, query: str) -> Iterator[Any]:
    """Also those marked as deleted."""
    from mlflow.entities import ViewType

    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id], query, run_view_type=ViewType.ALL, max_results=AT_ONCE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _experiment_tags(project: TrackedProject) -> dict[str, str]:
    return tags_of(project.page) | {PROJECT_TAG: project.project_id}


def _is_as_wanted(experiment: Any, project: TrackedProject) -> bool:
    """Nothing changed since the row knew its name, so that its registered model has that name too."""
    has_name = experiment.name == project.name and experiment.name in _names(project)
    has_tags = _experiment_tags(project).items() <= experiment.tags.items()
    return experiment.lifecycle_stage == "active" and has_name and has_tags


def _names(project: TrackedProject) -> tuple[str, str]:
    """The slug, and with a suffix; a slug has no underscore."""
    slug = project.page.name
    return slug, f"{slug}_{project.project_id[-_SUFFIX:].lower()}"


def _free_name(client: Any, project: TrackedProject, experiment: Any | None) -> str:
    """The slug; with a suffix where another experiment, deleted ones too, or another registered model has it."""
    for name in _names(project):
        other = client.get_experiment_by_name(name)
        if other is not None and (experiment is None or other.experiment_id != experiment.experiment_id):
            continue
        model = found(client.get_registered_model, name)
        if model is None or _is_own(model.tags, project):
            return name
    raise TrackerRefused(f"Something else in MLflow is called {' and '.join(_names(project))}: rename it there")


def _update_experiment(client: Any, project: TrackedProject, experiment: Any, name: str) -> None:
    experiment_id = experiment.experiment_id
    if experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment_id)
    if experiment.name != name:
        client.rename_experiment(experiment_id, name)
    wanted = _experiment_tags(project)
    for tag in sorted(wanted):
        if experiment.tags.get(tag) != wanted[tag]:
            client.set_experiment_tag(experiment_id, tag, wanted[tag])
    for tag in old_tags(experiment.tags):
        client.delete_experiment_tag(experiment_id, tag)


def _update_model(client: Any, project: TrackedProject, model: Any, name: str) -> None:
    if model.name != name:
        client.rename_registered_model(model.name, name)
    if model.description != note_of(project.page):
        client.update_registered_model(name, note_of(project.page))
    wanted = registry_tags(project.page) | {PROJECT_TAG: project.project_id}
    for tag in sorted(wanted):
        if model.tags.get(tag) != wanted[tag]:
            client.set_registered_model_tag(name, tag, wanted[tag])
    for tag in old_tags(model.tags):
        client.delete_registered_model_tag(name, tag)


def _own(thing: Any | None, project: TrackedProject) -> Any | None:
    return thing if thing is not None and _is_own(thing.tags, project) else None


def _is_own(tags: Mapping[str, str], project: TrackedProject) -> bool:
    return tags.get(PROJECT_TAG) == project.project_id or tags.get(OLD_JOB_TAG) == project.former
