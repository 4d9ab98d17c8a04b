"""The Open Inference Protocol, version 2, over JSON (kserve.github.io/website/docs/concepts/architecture/data-plane).

A model is `raccoons`, `raccoons@production` or a job_id, a version `3` or `v3`. The input is the tensor of the model
itself, (B, 3, height, width) float32 as its preprocessing makes it; or `BYTES`, a base64 image each: then the outputs
are boxes or classes, where `image` is the index of the image of each row. Errors are {"error": text}.
"""

import base64
import binascii
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from core.domain.errors import DarkroomError, RequestInvalid
from core.domain.version import VERSION
from http_common.problems import status_of
from pipeline.predictor.predictor import Prediction
from serving.models.loading import LoadedModel
from serving.pool import Options
from serving.state import CurrentServing

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
RAW, IMAGE = "pixels", "image"


class InputTensor(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(max_length=100)
    shape: list[int] = Field(max_length=4)
    datatype: str
    data: list[Any]


class InferRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str | None = Field(None, max_length=200)
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)


@router.get("", summary="Describe the server")
async def server() -> dict[str, Any]:
    return {"name": "darkroom", "version": VERSION, "extensions": []}


@router.get("/health/live", summary="Check that the server is alive")
async def live() -> dict[str, bool]:
    return {"live": True}


@router.get("/health/ready", summary="Check that the server is ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@router.get("/models/{model}", summary="Describe a model")
@router.get("/models/{model}/versions/{version}", summary="Describe a version of a model")
async def metadata(serving: CurrentServing, model: str, version: str | None = None) -> JSONResponse:
    try:
        async with serving.models.use(_name(model, version)) as loaded:
            return JSONResponse(_described(loaded, model))
    except DarkroomError as error:
        return _error(error)


@router.get("/models/{model}/ready", summary="Check that a model is loaded")
@router.get("/models/{model}/versions/{version}/ready", summary="Check that a version is loaded")
async def model_ready(serving: CurrentServing, model: str, version: str | None = None) -> JSONResponse:
    try:
        async with serving.models.use(_name(model, version)):
            return JSONResponse({"name": model, "ready": True})
    except DarkroomError as error:
        return _error(error)


@router.post("/models/{model}/infer", summary="Run a model")
@router.post("/models/{model}/versions/{version}/infer", summary="Run a version of a model")
async def infer(request: Request, serving: CurrentServing, model: str, version: str | None = None) -> JSONResponse:
    try:
        body = _body(await request.body())
        async with serving.models.use(_name(model, version)) as loaded:
            (given,) = body.inputs
            if given.datatype == "BYTES":
                images = [_image(each) for each in given.data]
                results = await serving.pool.predict(loaded, images, Options())
                outputs = _rows(loaded, [each.result for each in results])
            else:
                outputs = [_tensor("output", await serving.pool.run(loaded.shared.raw, _pixels(loaded, given)))]
            name, number = loaded.served.name.split("/v")
            answer = {"model_name": model, "model_version": number, "outputs": outputs, "parameters": {"project": name}}
            return JSONResponse(answer | ({"id": body.id} if body.id else {}))
    except DarkroomError as error:
        return _error(error)


def _name(model: str, version: str | None) -> str:
    return model if version is None else f"{model}/v{version.removeprefix('v')}"


def _body(content: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate_json(content)
    except ValueError as error:
        raise RequestInvalid(
            "The request is no JSON of the protocol. Its binary extension is not supported: send data as JSON "
            "(tritonclient: set_data_from_numpy(x, binary_data=False))."
        ) from error


def _described(loaded: LoadedModel, model: str) -> dict[str, Any]:
    wanted = loaded.shared.metadata.preprocessing
    return {
        "name": model,
        "versions": [loaded.served.name.rpartition("/v")[2]],
        "platform": loaded.shared.engine.partition(" ")[0],
        "inputs": [
            {"name": RAW, "datatype": "FP32", "shape": [-1, 3, wanted.height, wanted.width]},
            {"name": IMAGE, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, -1]}],
    }


def _pixels(loaded: LoadedModel, given: InputTensor) -> "np.ndarray[Any, Any]":
    if given.datatype != "FP32" or len(given.shape) != 4:
        raise RequestInvalid("The input is FP32 with four dimensions (batch, 3, height, width), or BYTES.")
    try:
        values = np.asarray(given.data, np.float32).reshape(given.shape)
    except (ValueError, TypeError) as error:
        raise RequestInvalid("The data does not have the shape that it names.") from error
    loaded.shared.check_input(values)
    return values


def _image(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestInvalid("Each value of BYTES is an image as base64.") from error


def _rows(loaded: LoadedModel, results: list[Any]) -> list[dict[str, Any]]:
    if failed := [f"image {index}: {each.reason}" for index, each in enumerate(results) if not _is_good(each)]:
        raise RequestInvalid(" ".join(failed)[:1000])
    kind = loaded.shared.metadata.kind
    rows = [(index, each) for index, result in enumerate(results) for each in (result.boxes or result.labels)]
    columns: dict[str, np.ndarray[Any, Any]] = {
        "image": np.array([index for index, _ in rows], np.int64),
        "class": np.array([each.class_index for _, each in rows], np.int64),
        "score": np.array([each.score for _, each in rows], np.float32),
    }
    if kind == "detection":
        corners = [[each.x1, each.y1, each.x2, each.y2] for _, each in rows]
        columns["boxes"] = np.array(corners, np.float32).reshape(-1, 4)
    return [_tensor(name, values) for name, values in columns.items()]


def _is_good(result: Any) -> bool:
    return isinstance(result, Prediction)


def _tensor(name: str, values: "np.ndarray[Any, Any]") -> dict[str, Any]:
    kind = "INT64" if values.dtype == np.int64 else "FP32"
    return {"name": name, "datatype": kind, "shape": list(values.shape), "data": values.ravel().tolist()}


def _error(error: DarkroomError) -> JSONResponse:
    return JSONResponse({"error": f"{error.slug}: {error.detail}"}, status_code=status_of(type(error)))
