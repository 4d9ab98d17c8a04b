"""Links of the OpenAPI document: which operations take the ids that an answer contains."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# By the schema of the answer: the path parameters that it gives, with where they are.
_GIVEN: Mapping[str, Mapping[str, str]] = {
    "Project": {"project": "/project", "ref": "/project"},
    "PageOf_Project_": {"project": "/items/0/project", "ref": "/items/0/project"},
    "AcceptedJob": {"job_id": "/job_id", "ref": "/job_id", "project": "/project"},
    "AcceptedRun": {"run_id": "/run_id"},
    "AcceptedOperation": {"operation_id": "/operation_id"},
    "PageOf_Evaluation_": {"evaluation_id": "/items/0/evaluation_id"},
    "ResumableUpload": {"upload_id": "/upload_id"},
    "Alias": {"project": "/project", "ref": "/project", "alias": "/alias"},
    "PageOf_JobItem_": {"job_id": "/items/0/job_id", "ref": "/items/0/job_id", "project": "/items/0/project"},
    "PageOf_Run_": {"run_id": "/items/0/run_id"},
    "PageOf_BatchPrediction_": {"operation_id": "/items/0/operation_id"},
    "PageOf_Operation_": {"operation_id": "/items/0/operation_id"},
    "Exports": {
        "project": "/project",
        "ref": "/project",
        "version": "/version",
        "export_id": "/items/0/export_id",
    },
    "PageOf_ModelVersion_": {
        "project": "/items/0/project",
        "ref": "/items/0/project",
        "version": "/items/0/version",
        "name": "/items/0/artifacts/0/name",
    },
}


def add_links(document: dict[str, Any]) -> None:
    """Each answer that gives all path parameters of an operation, and is no deletion, links to it."""
    links = document["components"].setdefault("links", {})
    for method, operation in _operations(document):
        for status, response in operation["responses"].items():
            given = _GIVEN.get(_schema_of(response), {}) if status.startswith("2") and method != "delete" else {}
            for name, link in _links_to(document, given):
                links[name] = link
                response.setdefault("links", {})[name] = {"$ref": f"#/components/links/{name}"}


def _links_to(document: dict[str, Any], given: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    source = "_".join(pointer.strip("/").replace("/", "_") for pointer in dict.fromkeys(given.values()))
    for path, operations in document["paths"].items():
        taken = set(re.findall(r"{(\w+)}", path))
        if not taken or not taken <= set(given):
            continue
        parameters = {name: f"$response.body#{given[name]}" for name in sorted(taken)}
        for operation in operations.values():
            target = operation["operationId"]
            yield f"{target}__{source}", {"operationId": target, "parameters": parameters}


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [each for operations in document["paths"].values() for each in operations.items()]


def _schema_of(response: Mapping[str, Any]) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]
