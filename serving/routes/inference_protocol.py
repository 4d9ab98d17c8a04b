"""The Open Inference Protocol, version 2 (kserve.github.io/website/docs/concepts/architecture/data-plane).

A model is `raccoons`, `raccoons@production`, `raccoons/v3` or a job_id, a version `3` or `v3`. The input is the tensor
of the model itself, `pixels`, (B, 3, height, width) float32 as its preprocessing makes it; or `image`, BYTES with an
image each: then the outputs are boxes or classes, where `image` is the index of the image of each row.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from core.domain.errors import ModelNotServable, RequestInvalid
from core.domain.version import VERSION
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import NotComputed, Prediction
from serving.in_time import in_time
from serving.intake import beside_loop, read_body
from serving.models.loading import LoadedModel
from serving.pool import Options
from serving.state import CurrentServing, Serving
from serving.tensors import HEADER, Array, InferRequest, answer_of, images_in, pixels_in, read_request

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
RAW, IMAGE, OUTPUT = "pixels", "image", "output"
_ARRAY = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
_REQUEST = {"type": "object", "required": ["inputs"], "properties": {"inputs": _ARRAY, "outputs": _ARRAY}}
INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _REQUEST}},
    }
}


@router.get("", summary="Describe the server")
async def server() -> dict[str, Any]:
    return {"name": "darkroom", "version": VERSION, "extensions": ["binary_tensor_data"]}


@router.get("/health/live", summary="Check that the server is alive")
async def live() -> dict[str, bool]:
    return {"live": True}


@router.get("/health/ready", summary="Check that the server is ready")
async def ready(serving: CurrentServing) -> dict[str, bool]:
    await serving.require_ready()
    return {"ready": True}


# A model may have a slash, raccoons/v3: what is longer is tried first.
@router.post(
    "/models/{model:path}/versions/{version}/infer",
    summary="Run a version of a model",
    openapi_extra=INFER_BODY,
)
async def infer_version(request: Request, serving: CurrentServing, model: str, version: str) -> Response:
    return await _inferred(request, serving, model, _name(model, version))


@router.post("/models/{model:path}/infer", summary="Run a model", openapi_extra=INFER_BODY)
async def infer(request: Request, serving: CurrentServing, model: str) -> Response:
    return await _inferred(request, serving, model, model)


@router.get("/models/{model:path}/versions/{version}/ready", summary="Check that a version is loaded")
async def version_ready(serving: CurrentServing, model: str, version: str) -> dict[str, Any]:
    async with serving.models.use(_name(model, version)):
        return {"name": model, "ready": True}


@router.get("/models/{model:path}/ready", summary="Check that a model is loaded")
async def model_ready(serving: CurrentServing, model: str) -> dict[str, Any]:
    async with serving.models.use(model):
        return {"name": model, "ready": True}


@router.get("/models/{model:path}/versions/{version}", summary="Describe a version of a model")
async def version_metadata(serving: CurrentServing, model: str, version: str) -> dict[str, Any]:
    async with serving.models.use(_name(model, version)) as loaded:
        return _described(loaded, model)


@router.get("/models/{model:path}", summary="Describe a model")
async def metadata(serving: CurrentServing, model: str) -> dict[str, Any]:
    async with serving.models.use(model) as loaded:
        return _described(loaded, model)


def _name(model: str, version: str) -> str:
    return f"{model}/v{version.removeprefix('v')}"


def _described(loaded: LoadedModel, model: str) -> dict[str, Any]:
    wanted = loaded.shared.metadata.preprocessing
    rows = [("image", "INT64"), ("class", "INT64"), ("label", "BYTES"), ("score", "FP32")]
    outputs = [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in rows]
    raw_shape = [-1, len(loaded.shared.metadata.classes)]
    if loaded.shared.metadata.kind == "detection":
        outputs.append({"name": "boxes", "datatype": "FP32", "shape": [-1, 4]})
        raw_shape = [-1, -1, -1]
    return {
        "name": model,
        "versions": [loaded.served.name.rpartition("/v")[2]],
        "platform": loaded.shared.engine.partition(" ")[0],
        "inputs": [
            {"name": RAW, "datatype": "FP32", "shape": [-1, 3, wanted.height, wanted.width]},
            {"name": IMAGE, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": raw_shape}, *outputs],
    }


async def _inferred(request: Request, serving: Serving, model: str, name: str) -> Response:
    serving.pool.raise_if_full()
    with serving.intake.room(serving.intake.request_bytes) as room:
        content = await read_body(request, room)
        body, binary = await beside_loop(len(content), read_request, content, request.headers.get(HEADER))
        return await in_time(request, serving, _run(serving, model, name, body, binary, size=len(content)))


async def _run(serving: Serving, model: str, name: str, body: InferRequest, binary: bytes, *, size: int) -> Response:
    """`size`: of the request, in bytes."""
    (given,), wanted = body.inputs, body.parameters
    async with serving.models.use(name) as loaded:
        if given.datatype == "BYTES":
            options = Options(wanted.confidence, wanted.iou, wanted.top)
            images = await beside_loop(size, images_in, given, binary)
            results = await serving.pool.predict(loaded, images, options)
            serving.metrics.note(results)
            tensors = _rows(loaded, [each.result for each in results])
        else:
            tensors = {OUTPUT: await _raw(serving, loaded, await beside_loop(size, pixels_in, given, binary))}
        project, number = loaded.served.name.split("/v")
        head = {"model_name": model, "model_version": number, "parameters": {"project": project}}
        head |= {"id": body.id} if body.id else {}
        return await beside_loop(sum(each.nbytes for each in tensors.values()), answer_of, head, tensors, body)


async def _raw(serving: Serving, loaded: LoadedModel, pixels: Array) -> Array:
    try:
        loaded.shared.check_input(pixels)
    except MetadataInvalid as error:
        raise RequestInvalid(str(error)) from error
    return await serving.pool.raw(loaded, pixels)


def _rows(loaded: LoadedModel, results: list[Any]) -> dict[str, Array]:
    for each in results:
        if isinstance(each, NotComputed):
            raise ModelNotServable(each.reason, name=loaded.served.name)
    failed = [(index, each) for index, each in enumerate(results) if not isinstance(each, Prediction)]
    if failed:
        raise RequestInvalid(" ".join(f"Image {index}: {each.reason}" for index, each in failed)[:1000])
    rows = [(index, each) for index, result in enumerate(results) for each in (result.boxes or result.labels)]
    columns: dict[str, Array] = {
        "image": np.array([index for index, _ in rows], np.int64),
        "class": np.array([each.class_index for _, each in rows], np.int64),
        "label": np.array([each.label for _, each in rows], object),
        "score": np.array([each.score for _, each in rows], np.float32),
    }
    if loaded.shared.metadata.kind == "detection":
        corners = [[each.x1, each.y1, each.x2, each.y2] for _, each in rows]
        columns["boxes"] = np.array(corners, np.float32).reshape(-1, 4)
    return columns
