"""What identifies a dataset, a run, an operation, a model: an object of the client, or its name."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from darkroom.schemas import Batch, Dataset, Evaluation, Export, ModelVersion, Operation, Project, Run


def job_id_of(dataset: Dataset | str) -> str:
    return dataset.job_id if isinstance(dataset, Dataset) else dataset


def run_id_of(run: Run | str) -> str:
    return run.run_id if isinstance(run, Run) else run


def operation_id_of(operation: Operation | str) -> str:
    return operation.operation_id if isinstance(operation, Operation) else operation


def batch_id_of(batch: Batch | str) -> str:
    return batch.operation_id if isinstance(batch, Batch) else batch


def evaluation_id_of(evaluation: Evaluation | str) -> str:
    return evaluation.evaluation_id if isinstance(evaluation, Evaluation) else evaluation


def export_id_of(export: Export | str) -> str:
    return export.export_id if isinstance(export, Export) else export


def project_name_of(project: Project | str) -> str:
    return project.project if isinstance(project, Project) else project


def model_name_of(model: ModelVersion | str) -> str:
    return model.name if isinstance(model, ModelVersion) else model


def split_model(model: ModelVersion | str) -> tuple[str, str, str]:
    """Project or job, version, alias: the latter two may be empty.

    >>> split_model("raccoons/v3")
    ('raccoons', 'v3', '')
    >>> split_model("raccoons@production")
    ('raccoons', '', 'production')
    """
    name = model_name_of(model)
    line, _, version = name.partition("/")
    if version:
        return line, version, ""
    line, _, alias = name.partition("@")
    return line, "", alias


def place_of(location: str) -> dict[str, str]:
    """The field of an import that says where it comes from. Raises ValueError.

    >>> place_of("file:///srv/datasets/raccoons%202")
    {'folder': '/srv/datasets/raccoons 2'}
    >>> place_of("dataset:raccoons/d1")
    {'dataset': 'raccoons/d1'}
    """
    parts = urlsplit(location)
    if parts.scheme in ("http", "https"):
        return {"url": location}
    if parts.scheme == "s3":
        return {"s3": location}
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return {"folder": unquote(parts.path)}
    if parts.scheme in ("dataset", "sample") and parts.path and not parts.netloc:
        return {parts.scheme: parts.path}
    known = "https://..., s3://bucket/prefix, file:///folder, dataset:NAME, sample:shapes"
    raise ValueError(f"{location} is none of {known}")


def path_of(template: str, *names: str) -> str:
    """The template with each `{}` replaced by a name, in which no character has a meaning of its own."""
    return template.format(*map(_part, names))


def _part(name: str) -> str:
    """`..` would lead to the path above."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")
