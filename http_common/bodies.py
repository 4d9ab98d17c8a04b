"""The body of a request: its size, the pauses in it, and what JSON may contain."""

import asyncio
import json
import math
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from core.domain.errors import LimitExceeded, RequestInvalid, RequestTimeout
from core.domain.field_errors import not_valid

BODY_MAX_BYTES = 1024**2  # of every request except uploads; the largest params have a few KB
MAX_DEPTH = 32  # of JSON; params have three levels


def without_pauses(receive: Receive, *, seconds: float) -> Receive:
    """Raises RequestTimeout when nothing of the body arrives for `seconds` while it is awaited."""
    complete = False

    async def receive_in_time() -> Message:
        nonlocal complete
        if complete:
            return await receive()  # only the end of the connection can follow
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(f"The body of the request stopped arriving for {seconds:g} s.") from None
        complete = not message.get("more_body", False)
        return message

    return receive_in_time


async def read_small(headers: Headers, receive: Receive) -> Receive:
    """Read a body of at most BODY_MAX_BYTES and check it. The result replays it.

    Raises LimitExceeded, RequestInvalid (JSON that cannot be stored), RequestTimeout, ClientDisconnect.
    """
    body = await _read(receive, announced=headers.get("content-length", "0"))
    if "json" in headers.get("content-type", "").lower():
        check_json(body)
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def check_json(body: bytes) -> None:
    """Raises RequestInvalid for JSON that is too deep, and for values that neither JSON nor a database can store.

    Bytes that are no JSON at all are left to the endpoint, which names the position.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise _invalid(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            return
        raise _invalid("not UTF-8, or a number with too many digits") from error
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        for each in level:
            _check_scalar(each)
        level = [child for each in level for child in _children(each)]
    if level:
        raise _invalid(f"nested deeper than {MAX_DEPTH} levels")


async def _read(receive: Receive, *, announced: str) -> bytes:
    if announced.isdigit() and int(announced) > BODY_MAX_BYTES:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > BODY_MAX_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_scalar(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _invalid("NaN and infinite numbers are not JSON")
    if isinstance(value, str) and ("\x00" in value or not _is_unicode(value)):
        raise _invalid("text contains a NUL character or half a surrogate pair")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(message: str) -> RequestInvalid:
    fields = [{"field": "body", "message": message}]
    return RequestInvalid(not_valid(fields), errors=fields)


def _too_large() -> LimitExceeded:
    return LimitExceeded(f"The body exceeds the limit of {BODY_MAX_BYTES} bytes.", limit_bytes=BODY_MAX_BYTES)
