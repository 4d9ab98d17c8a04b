"""Predictions of several images in as few requests as the service allows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Union

import httpx

from darkroom._async.runtime import in_thread
from darkroom._async.transport import AsyncTransport, json_of
from darkroom._async.work import without_none
from darkroom.names import model_name_of
from darkroom.schemas import Answer, ModelVersion, Prediction
from darkroom.schemas.decode import decode

ImageLike = Union[bytes, str, "PathLike[str]"]  # bytes, a URL, or a path

MAX_IMAGES = 32  # of a request
MAX_BYTES = 16 * 1024**2  # of the images of a request, unless one alone has more
ANSWER_SECONDS = 150.0  # of a model that is loaded first


@dataclass(frozen=True)
class Options:
    confidence: float | None = None
    iou: float | None = None
    top: int | None = None
    tile: int | None = None
    overlap: float | None = None
    receipt: bool = False

    def given(self) -> dict[str, Any]:
        options = {"confidence": self.confidence, "iou": self.iou, "top": self.top}
        return without_none(**options, tile=self.tile, overlap=self.overlap, receipt=self.receipt or None)


@dataclass(frozen=True)
class _Image:
    content: bytes = b""
    url: str = ""

    def source(self) -> dict[str, str]:
        return {"url": self.url} if self.url else {"base64": base64.b64encode(self.content).decode()}


async def predict_all(
    transport: AsyncTransport, model: ModelVersion | str, images: Sequence[ImageLike], options: Options
) -> list[Prediction]:
    read = [await in_thread(partial(_read, image)) for image in images]
    found: list[Prediction] = []
    for request in _requests(read):
        body = {"model": model_name_of(model), "images": [each.source() for each in request], **options.given()}
        answer = decode(
            Answer,
            await transport.json("POST", "/predict", body=body, repeatable=True, timeout=ANSWER_SECONDS),
        )
        for image, each in zip(request, answer.images, strict=True):
            found.append(Prediction(answer.model, each, answer.receipt, image.content, image.url))
    return found


async def predict_bytes(
    transport: AsyncTransport, model: ModelVersion | str, content: bytes, options: Options
) -> Prediction:
    response = await _posted(transport, content, {"model": model_name_of(model), **options.given()})
    answer = decode(Answer, json_of(response))
    return Prediction(answer.model, answer.images[0], answer.receipt, content)


async def annotate_bytes(
    transport: AsyncTransport, model: ModelVersion | str, content: bytes, options: Options
) -> bytes:
    query = {"model": model_name_of(model), "annotated": True, **options.given()}
    return (await _posted(transport, content, query)).content


async def read_image(image: bytes | PathLike[str] | str) -> bytes:
    return image if isinstance(image, bytes) else await in_thread(Path(image).read_bytes)


async def _posted(transport: AsyncTransport, content: bytes, query: dict[str, Any]) -> httpx.Response:
    return await transport.send(
        "POST",
        "/predict/image",
        query=query,
        content=content,
        headers={"Content-Type": "application/octet-stream"},
        repeatable=True,
        timeout=ANSWER_SECONDS,
    )


def _read(image: ImageLike) -> _Image:
    if isinstance(image, bytes):
        return _Image(image)
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        return _Image(url=image)
    return _Image(Path(image).read_bytes())


def _requests(images: Sequence[_Image]) -> Iterator[list[_Image]]:
    request: list[_Image] = []
    size = 0
    for image in images:
        if request and (len(request) == MAX_IMAGES or size + len(image.content) > MAX_BYTES):
            yield request
            request, size = [], 0
        request.append(image)
        size += len(image.content)
    if request:
        yield request
