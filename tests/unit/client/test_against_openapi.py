"""The client and the OpenAPI document of the API agree: every dataclass, every request."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import httpx
import pytest

import darkroom.schemas
from darkroom import AsyncClient, Client
from darkroom.errors import Problem
from darkroom.schemas import RetentionSettings
from darkroom.schemas.decode import json_name
from tests.builders.documented_service import SCHEMAS, DocumentedService, operations

# Of the dataclasses whose schema has another name; where there are two, lists answer the smaller one.
SCHEMAS_OF = {
    "Alias": ("Alias", "AliasItem"),
    "Batch": ("BatchDetail", "BatchPrediction"),
    "Check": ("CheckItem",),
    "ComputeEngine": ("EngineItem",),
    "Dataset": ("Job", "JobItem"),
    "DatasetBox": ("ImageBox",),
    "DatasetImage": ("ListedImage",),
    "DatasetSource": ("JobSource",),
    "Devices": ("DevicesItem",),
    "Evaluation": ("EvaluationDetail", "Evaluation"),
    "ExportBaseline": ("Baseline",),
    "ExportList": ("Exports",),
    "Finding": ("FindingItem",),
    "Gpu": ("GpuItem",),
    "MatrixCell": ("CellOfMatrix",),
    "MatrixColumn": ("ColumnOfMatrix",),
    "MatrixRow": ("RowOfMatrix",),
    "ParentVersion": ("Parent",),
    "RunInDataset": ("RunInJob",),
    "Trainer": ("TrainerItem",),
    "VersionInDataset": ("VersionInJob",),
    "Worker": ("WorkerItem",),
}
# Event: the document describes the stream, not its JSON; tests/integration/client reads one.
# Prediction: made by the client of an Answer, one for each image.
NOT_IN_THE_DOCUMENT = {"Event", "Prediction"}

# The operations that no method of the client calls, and what to use instead.
NOT_COVERED = {
    ("GET", "/projects/{project}/datasets"): "datasets.list(project=)",
    ("GET", "/projects/{project}/runs"): "runs.list(project=)",
    ("GET", "/projects/{project}/models"): "models.list(project=)",
    ("PUT", "/models/{ref}/aliases/{alias}"): "aliases.set",
    ("DELETE", "/models/{ref}/aliases/{alias}"): "aliases.remove",
    ("POST", "/models/{ref}/aliases/{alias}/rollback"): "aliases.rollback",
    ("POST", "/upload-dataset"): "datasets.upload, which can be continued",
    ("DELETE", "/uploads/{upload_id}"): "housekeeping removes unfinished uploads",
    ("POST", "/uploads/{upload_id}"): "PATCH, of which it is another form",
    ("GET", "/jobs/{job_id}/findings.csv"): "datasets.findings",
    ("GET", "/dataset/plots/{job_id}/{name}"): "the pages of the service",
    ("GET", "/health"): "ready",
    ("GET", "/metrics"): "for Prometheus",
    ("GET", "/sessions"): "the pages of the service, whose browsers have them",
    ("DELETE", "/sessions"): "the same",
    ("DELETE", "/sessions/{session_id}"): "the same",
}

# Resource -> method -> the arguments of each call.
CALLS: Mapping[str, Mapping[str, tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]]] = {}


def call(*args: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, named


FILE, FOLDER = Path("file.zip"), Path("downloads")  # of the test's working folder
CALLS = {
    "": {
        "predict_from_image_path": (call("raccoons", FILE, tile=640, overlap=0.2, receipt=True),),
        "predict_from_image_bytes": (call("raccoons", b"x", confidence=0.5, iou=0.5, top=3),),
        "predict_from_image_url": (call("raccoons", "https://host/1.jpg", tile=640),),
        "predict": (call("raccoons", [b"x"], confidence=0.5, iou=0.5, top=3, receipt=True),),
        "annotate": (call("raccoons", FILE, tile=640),),
        "service": (call(),),
        "ready": (call(),),
        "models_in_memory": (call(),),
        "workers": (call(),),
        "formats": (call(),),
        "explain": (call("job-not-ready"),),
    },
    "projects": {
        "list": (call(implicit=True),),
        "get": (call("raccoons"),),
        "create": (call("raccoons", title="Raccoons", description="At night", kind="detection"),),
        "rename": (call("raccoons", "bears"),),
        "update": (call("raccoons", title="Bears", retention=RetentionSettings(source_days=365)),),
        "delete": (call("raccoons", cancel=True),),
        "storage": (call("raccoons"), call("raccoons", measure=True)),
        "purge": (
            call("raccoons"),
            call("raccoons", ["bundles"], dry_run=False, older_than_days=7, keep_versions=3, cursor="x"),
        ),
        "lineage": (call("raccoons", all_runs=True),),
        "draw_lineage": (call("raccoons", FOLDER),),
    },
    "aliases": {
        "list": (call("raccoons"),),
        "get": (call("raccoons", "production"),),
        "set": (call("raccoons", "production", "v3"),),
        "rollback": (call("raccoons", "production"),),
        "remove": (call("raccoons", "production"),),
    },
    "corrections": {
        "add": (call("job_1", [{"image": "1.jpg", "remove": True}], author="ada", new_classes=True),),
        "list": (call("job_1", state="draft", image="1.jpg"),),
        "discard": (call("job_1", "correction_1"), call("job_1")),
        "apply": (call("job_1", name="corrected", wait=False),),
    },
    "test_sets": {
        "set": (call("raccoons", "d2"),),
        "get": (call("raccoons"),),
        "history": (call("raccoons"),),
        "remove": (call("raccoons"),),
        "download_list": (call("raccoons", 1, FOLDER),),
    },
    "datasets": {
        "list": (call(project="raccoons", state="ready"),),
        "get": (call("job_1"),),
        "describe": (call("job_1"),),
        "metadata": (call("job_1"),),
        "preflight": (call(FILE),),
        "upload": (),  # tests/integration/client: its answers depend on what was sent before
        "import_huggingface": (call("owner/set", splits=("train",), seed=1, project="raccoons", wait=False),),
        "import_from": (
            call("https://data.example/a.zip?signature=x", sha256="0" * 64, wait=False),
            call("s3://datasets/raccoons", project="raccoons", wait=False),
            call("file:///srv/raccoons%202", name="raccoons", seed=1, wait=False),
            call("dataset:raccoons/d1", on_error="skip", wait=False),
            call("sample:shapes", project="shapes", wait=False),
        ),
        "wait": (),  # until it ends, and the made-up state is no end
        "follow": (),
        "events": (call("job_1"),),
        "findings": (call("job_1", code="image-broken", severity="error"),),
        "repair_log": (call("job_1"),),
        "repair": (call("job_1", project="raccoons", wait=False),),
        "retry": (call("job_1", wait=False),),
        "delete": (call("job_1", cancel=True),),
        "images": (call("job_1", class_name="raccoon", split="test", finding="image-dark", sort="-blur"),),
        "image": (call("job_1", "0" * 64, size=256, boxes=True), call("job_1", "0" * 64)),
        "sample": (call("job_1"),),
        "diff": (call("job_1", "job_2", change="changed", limit=5),),
        "diff_images": (call("job_1", "job_2", change="added"),),
        "draw_diff": (call("job_1", "job_2", FOLDER, images=4), call("job_1", "job_2", FOLDER / "changes.csv")),
        "download": (call("job_1", FOLDER),),
        "download_source": (call("job_1", FOLDER),),
        "export": (call("job_1", "coco", FOLDER), call("job_1", "yolo", FOLDER, arrange="splits")),
        "exports": (call("job_1"),),
        "delete_export": (call("job_1", "dataexport_1"),),
    },
    "runs": {
        "list": (call(project="raccoons", dataset="job_1", state="running"),),
        "get": (call("run_1"),),
        "describe": (call("run_1"),),
        "trainers": (call(),),
        "train": (call("job_1", trainer="yolo", params={"epochs": 3}),),
        "baseline": (call("job_1", templates=("a photo of {}",)),),
        "wait": (),
        "follow": (),
        "events": (call("run_1"),),
        "log": (call("run_1", tail=5, attempt=1),),
        "cancel": (call("run_1"),),
        "stop": (call("run_1"),),
        "retry": (call("run_1"),),
    },
    "operations": {
        "list": (call(project="raccoons", dataset="job_1", kind="export", state="running"),),
        "get": (call("operation_1"),),
        "wait": (),
        "follow": (),
        "events": (call("operation_1"),),
        "cancel": (call("operation_1"),),
        "retry": (call("operation_1"),),
    },
    "models": {
        "list": (call(project="raccoons", dataset="job_1"),),
        "get": (call("raccoons"), call("raccoons/v3"), call("raccoons@production")),
        "download": (call("raccoons@production", FOLDER), call("raccoons/v3", FOLDER)),
        "artifact": (call("raccoons/v3", "metrics.json", FOLDER),),
        "bundle": (call("raccoons/v3", FOLDER),),
        "import_file": (call("raccoons", FILE, dataset="d2"),),
    },
    "batches": {
        "list": (call(project="raccoons", model="raccoons/v3", dataset="job_1"),),
        "create": (
            call("raccoons", dataset="job_1", split="test", tile=640),
            call("raccoons", urls=["https://host/"]),
            call("raccoons", archive=FILE),
        ),
        "get": (call("operation_1"),),
        "wait": (),
        "download": (call("operation_1", FOLDER, format="csv"),),
        "delete": (call("operation_1"),),
    },
    "exports": {
        "list": (call("raccoons/v3"),),
        "create": (call("raccoons/v3", format="openvino", precision="int8", max_drop=0.02),),
        "get": (call("raccoons/v3", "export_1"),),
        "certificate": (call("raccoons/v3", "export_1"),),
        "download": (call("raccoons/v3", "export_1", FOLDER, force=True),),
        "draw": (call("raccoons/v3", FOLDER),),
        "delete": (call("raccoons/v3", "export_1"),),
    },
    "evaluations": {
        "compare": (call("raccoons", "v1", "v2", dataset="d2", split="val"),),
        "compared_images": (call("raccoons", "v1", "v2", "won", dataset="d2", split="val"),),
        "draw_comparison": (
            call("raccoons", "v1", "v2", FOLDER / "compared.png", images=6, outcome="lost", dataset="d2", split="val"),
        ),
        "list": (call(project="raccoons", model="raccoons/v3", export="export_1", dataset="job_1", split="test"),),
        "create": (call("job_1", model="raccoons/v3"), call("job_1", export="export_1", force=True)),
        "get": (call("evaluation_1"),),
        "artifact": (call("evaluation_1", "metrics.json", FOLDER),),
        "delete": (call("evaluation_1"),),
        "matrix": (call("raccoons", split="val", metric="f1"),),
        "draw_matrix": (call("raccoons", FOLDER), call("raccoons", FOLDER / "matrix.csv")),
    },
}
# What `datasets.upload` calls.
UPLOADING = {("POST", "/uploads"), ("HEAD", "/uploads/{upload_id}"), ("PATCH", "/uploads/{upload_id}")}
UPLOADING |= {("GET", "/uploads/{upload_id}")}


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    FILE.write_bytes(b"PK")
    FOLDER.mkdir()


@pytest.mark.parametrize("whole", [True, False], ids=["all fields", "required fields"])
@pytest.mark.usefixtures("_files")
def test_every_request_of_the_client_is_one_of_the_document(whole: bool) -> None:
    service = DocumentedService(whole)
    with Client("http://service", http=httpx.Client(transport=service.transport())) as client:
        for resource, methods in CALLS.items():
            owner = getattr(client, resource) if resource else client
            assert set(methods) == _public_methods(owner), resource or "client"
            for name, calls in methods.items():
                for args, named in calls:
                    result = getattr(owner, name)(*args, **named)
                    assert not isinstance(result, Iterator) or len(list(result)) <= 1
    assert service.called | UPLOADING == operations() - set(NOT_COVERED)


@pytest.mark.usefixtures("_files")
def test_the_asynchronous_client_sends_the_same_requests() -> None:
    service = DocumentedService()

    async def run() -> None:
        async with AsyncClient("http://service", http=httpx.AsyncClient(transport=service.transport())) as client:
            for resource, methods in CALLS.items():
                owner = getattr(client, resource) if resource else client
                for name, calls in methods.items():
                    for args, named in calls:
                        result = getattr(owner, name)(*args, **named)
                        if isinstance(result, AsyncIterator):
                            assert len([item async for item in result]) <= 1
                        else:
                            await result

    asyncio.run(run())
    assert service.called | UPLOADING == operations() - set(NOT_COVERED)


@pytest.mark.parametrize("name", sorted(set(darkroom.schemas.__all__) - NOT_IN_THE_DOCUMENT))
def test_a_dataclass_has_the_fields_of_its_schema(name: str) -> None:
    kind = getattr(darkroom.schemas, name)
    largest, *smaller = (SCHEMAS[schema] for schema in SCHEMAS_OF.get(name, (name,)))
    ours = {json_name(field): field for field in fields(kind) if not field.metadata.get("local")}
    assert set(ours) == set(largest["properties"])
    hints = get_type_hints(kind, vars(inspect.getmodule(kind)), {})
    wrong = {
        field: (hints[each.name], largest["properties"][field])
        for field, each in ours.items()
        if not _fits(hints[each.name], largest["properties"][field])
    }
    assert wrong == {}
    demanded = {field for field, each in ours.items() if _is_demanded(each)}
    for schema in (largest, *smaller):
        assert demanded <= set(schema.get("required", ())), "an optional field may be absent"


def _public_methods(owner: object) -> set[str]:
    ignored = {"close"}
    return {name for name, _ in inspect.getmembers(owner, inspect.ismethod) if not name.startswith("_")} - ignored


def _is_demanded(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _fits(kind: Any, schema: Mapping[str, Any]) -> bool:
    """Whether every value of the schema is one of the type."""
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        if "enum" in SCHEMAS[target] or get_args(kind):
            return _fits(kind, SCHEMAS[target])
        return target in SCHEMAS_OF.get(kind.__name__, (kind.__name__,))
    if "anyOf" in schema:
        kinds = get_args(kind)
        return NoneType in kinds and all(
            each.get("type") == "null" or any(_fits(one, each) for one in kinds if one is not NoneType)
            for each in schema["anyOf"]
        )
    match schema.get("type", "string" if "enum" in schema else "object"):
        case "array":
            return get_origin(kind) is tuple and _fits(get_args(kind)[0], schema["items"])
        case "object":
            more = schema.get("additionalProperties")
            values = get_args(kind)[1] if get_args(kind) else None
            return kind is Problem or values is Any or (isinstance(more, dict) and _fits(values, more))
        case "string":
            return kind is (datetime if schema.get("format") == "date-time" else str)
        case other:
            return kind is {"integer": int, "number": float, "boolean": bool}[other]
