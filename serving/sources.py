"""The images of a JSON request: base64, or fetched from their URLs. One that cannot be read fails alone."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from functools import partial

from core.domain.errors import ImageUrlRefused, RequestInvalid
from http_common.prediction_schemas import ImageSource
from http_common.remote_images import fetch_image, urls_refused
from pipeline.predictor.predictor import PredictionFailed
from serving.intake import Room, beside_loop
from serving.state import Serving

FETCHED_AT_ONCE = 8  # of a request


async def read_images(serving: Serving, sources: Sequence[ImageSource], room: Room) -> list[bytes | PredictionFailed]:
    """In their order. `room`: for what is fetched.

    Raises RequestInvalid for a source that is neither or both, ImageUrlRefused where the operator allows no URL at
    all, and what `Room.add` raises.
    """
    for index, source in enumerate(sources):
        _require_one(index, source, are_urls_allowed=bool(serving.image_hosts))
    turns = asyncio.Semaphore(FETCHED_AT_ONCE)
    tasks = [asyncio.create_task(_read(serving, source, room, turns)) for source in sources]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()  # the others, where one filled the room


def _require_one(index: int, source: ImageSource, *, are_urls_allowed: bool) -> None:
    if (source.base64 is None) == (source.url is None):
        fields = [{"field": f"images.{index}", "message": "Send either base64 or url."}]
        raise RequestInvalid(f"images.{index}: Send either base64 or url.", errors=fields)
    if source.url is not None and not are_urls_allowed:
        raise urls_refused(source.url)


async def _read(
    serving: Serving, source: ImageSource, room: Room, turns: asyncio.Semaphore
) -> bytes | PredictionFailed:
    if source.url is None:
        text = source.base64 or ""
        return await beside_loop(len(text), _decoded, text, serving.platform.settings.image_max_bytes)
    settings = serving.platform.settings
    fetch = partial(fetch_image, hosts=serving.image_hosts, networks=settings.named_networks, received=room.add)
    try:
        async with turns:
            return await fetch(source.url, max_bytes=settings.image_max_bytes, seconds=settings.image_seconds)
    except ImageUrlRefused as error:
        return PredictionFailed(error.detail)


def _decoded(text: str, max_bytes: int) -> bytes | PredictionFailed:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return PredictionFailed("The image is not base64.")
    if len(content) > max_bytes:
        return PredictionFailed(f"The image has more than {max_bytes} bytes.")
    return content
