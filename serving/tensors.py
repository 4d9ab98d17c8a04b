"""Requests and answers of the Open Inference Protocol: tensors as JSON, or behind the JSON as bytes.

The bytes are those of the protocol's binary tensor data extension (github.com/triton-inference-server/server/blob/main/
docs/protocol/extension_binary_data.md): `Inference-Header-Content-Length` is the length of the JSON, little-endian
values follow in the order of the tensors; of BYTES each element behind its length in four bytes.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from core.domain.errors import RequestInvalid
from http_common.prediction_schemas import MAX_IMAGES
from http_common.problems import invalid_body

HEADER = "inference-header-content-length"
DATATYPES = {"f": "FP32", "i": "INT64", "O": "BYTES"}  # by the kind of an array
Array = np.ndarray[Any, Any]


class InputTensor(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=100)
    shape: list[int] = Field(max_length=4)
    datatype: str = Field(max_length=20)
    data: list[Any] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class WantedOutput(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=100)
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferParameters(BaseModel):
    """Those of /predict; others are those of the protocol."""

    model_config = ConfigDict(extra="ignore")

    confidence: float | None = Field(None, ge=0, le=1)
    iou: float | None = Field(None, ge=0, le=1)
    top: int = Field(5, ge=1, le=1000)
    binary_data_output: bool = False


class InferRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str | None = Field(None, max_length=200)
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[WantedOutput] = Field(default_factory=list, max_length=20)
    parameters: InferParameters = Field(default_factory=InferParameters)


def read_request(body: bytes, json_length: str | None) -> tuple[InferRequest, bytes]:
    """The request, and the bytes behind its JSON. `json_length`: the value of HEADER. Raises RequestInvalid."""
    length = len(body) if json_length is None else _length(json_length)
    if length > len(body):
        raise RequestInvalid(f"{HEADER} is no length of a part of the body.")
    try:
        return InferRequest.model_validate_json(body[:length]), body[length:]
    except ValidationError as error:
        raise invalid_body(error, InferRequest) from error


def pixels_in(tensor: InputTensor, binary: bytes) -> Array:
    """(B, 3, height, width) float32. Raises RequestInvalid."""
    if tensor.datatype != "FP32" or len(tensor.shape) != 4:
        raise RequestInvalid("The input is FP32 with the shape (batch, 3, height, width), or BYTES with an image each.")
    try:
        if tensor.data is None:
            return np.frombuffer(_own_bytes(tensor, binary), "<f4").reshape(tensor.shape)
        return np.asarray(tensor.data, np.float32).reshape(tensor.shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestInvalid(f"The data of {tensor.name!r} does not have the shape {tensor.shape}.") from error


def images_in(tensor: InputTensor, binary: bytes) -> list[bytes]:
    """The images as they are, or as base64 where the tensor is JSON. Raises RequestInvalid."""
    data = tensor.data
    images = _elements(_own_bytes(tensor, binary)) if data is None else [_decoded(each) for each in data]
    if len(images) != math.prod(tensor.shape) or not 1 <= len(images) <= MAX_IMAGES:
        raise RequestInvalid(f"The shape of {tensor.name!r} is the number of images, 1 to {MAX_IMAGES}.")
    return images


def answer_of(head: Mapping[str, Any], tensors: Mapping[str, Array], request: InferRequest) -> Response:
    """The outputs that are wanted, by default all. Raises RequestInvalid for one that does not exist, and for one with
    values that JSON does not have."""
    wanted = {each.name: bool(each.parameters.get("binary_data", False)) for each in request.outputs}
    wanted = wanted or dict.fromkeys(tensors, request.parameters.binary_data_output)
    if unknown := [name for name in wanted if name not in tensors]:
        raise RequestInvalid(f"There is no output {unknown[0][:100]!r}; the outputs are {', '.join(tensors)}.")
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, is_binary in wanted.items():
        values = tensors[name]
        output: dict[str, Any] = {"name": name, "datatype": DATATYPES[values.dtype.kind], "shape": list(values.shape)}
        if is_binary:
            parts.append(_bytes_of(values))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = values.ravel().tolist()
        outputs.append(output)
    try:
        text = json.dumps({**head, "outputs": outputs}, allow_nan=False).encode()
    except ValueError as error:
        detail = "An output has values that are not finite, which JSON does not have. Ask for it as binary data."
        raise RequestInvalid(detail) from error
    if not any(wanted.values()):
        return Response(text, media_type="application/json")
    headers = {HEADER: str(len(text))}
    return Response(b"".join([text, *parts]), media_type="application/octet-stream", headers=headers)


def _length(text: str) -> int:
    if not re.fullmatch("[0-9]{1,12}", text):
        raise RequestInvalid(f"{HEADER} is no number of bytes.")
    return int(text)


def _own_bytes(tensor: InputTensor, binary: bytes) -> bytes:
    if tensor.parameters.get("binary_data_size") != len(binary):
        raise RequestInvalid(f"{tensor.name!r} has neither data nor as many bytes behind the JSON as it announces.")
    return binary


def _elements(binary: bytes) -> list[bytes]:
    elements, start = [], 0
    while start < len(binary):
        end = start + 4 + int.from_bytes(binary[start : start + 4], "little")
        if end > len(binary):
            raise RequestInvalid("An element of BYTES is longer than the body.")
        elements.append(binary[start + 4 : end])
        start = end
    return elements


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestInvalid("Each value of BYTES in JSON is an image as base64.") from error


def _bytes_of(values: Array) -> bytes:
    if values.dtype.kind != "O":
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    texts: Sequence[bytes] = [str(each).encode() for each in values.ravel()]
    return b"".join(len(each).to_bytes(4, "little") + each for each in texts)
