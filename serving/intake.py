"""The bytes of requests in memory: bounded for each request, and for all of them together, while they arrive."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from core import clock
from core.domain.errors import MediaTypeUnsupported, QueueFull, RequestInvalid, RequestTimeout, UploadTooLarge
from core.settings import Settings
from http_common.multipart import FormReader

REQUEST_TIMES = 2  # of the largest image: what the JSON of a request, or the images at its URLs, may have
FORM_BYTES = 64 * 1024  # allowance for a form around its file
RAW_TYPES = ("image/", "application/octet-stream")
CURL_TYPE = "application/x-www-form-urlencoded"  # what `curl --data-binary @image.jpg` sends without a header
SLOWEST = 8 * 1024  # bytes a second of a body, and of a large answer that is read: both hold room that others need
LARGE_BYTES = 256 * 1024  # parsing or writing so many takes a millisecond, and is left to a thread

T = TypeVar("T")


class Room:
    """The bytes of one request."""

    def __init__(self, intake: "Intake", limit: int) -> None:
        self._intake, self._limit = intake, limit
        self.bytes = 0

    def require_rate(self, arrived: int, *, since: float) -> None:
        """Raises RequestTimeout for a body that arrives more slowly than SLOWEST."""
        if clock.monotonic() - since > self._intake.seconds_for(arrived):
            raise RequestTimeout(f"The body of the request arrives with less than {SLOWEST // 1024} KiB a second.")

    def add(self, count: int) -> None:
        """Raises UploadTooLarge beyond the limit of a request, QueueFull beyond that of all."""
        if self.bytes + count > self._limit:
            raise UploadTooLarge(f"The request has more than {self._limit} bytes.", limit_bytes=self._limit)
        self._intake.add(count)
        self.bytes += count


class Intake:
    """For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.image_bytes = settings.image_max_bytes
        self.request_bytes = REQUEST_TIMES * settings.image_max_bytes
        self.max_bytes = max(settings.serving_body_bytes, 2 * self.request_bytes)
        self.idle_seconds = settings.idle_seconds
        self.bytes = 0

    @contextmanager
    def room(self, limit: int) -> Iterator[Room]:
        """What is added to it is given back at the end of the block."""
        room = Room(self, limit)
        try:
            yield room
        finally:
            self.bytes -= room.bytes

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Room for an answer, which is computed by now: beyond the limit too, and then no request is accepted."""
        self.bytes += count
        try:
            yield
        finally:
            self.bytes -= count

    def seconds_for(self, count: int) -> float:
        """How long so many bytes may take: `idle_seconds`, and then SLOWEST."""
        return self.idle_seconds + count / SLOWEST

    def add(self, count: int) -> None:
        if self.bytes + count > self.max_bytes:
            detail = f"Requests have {self.bytes} bytes in memory; at most {self.max_bytes} may be. Try again shortly."
            raise QueueFull(detail, waiting_bytes=self.bytes, limit_bytes=self.max_bytes)
        self.bytes += count


async def read_body(request: Request, room: Room) -> bytes:
    """The room for an announced length is taken before anything is read. Raises what `Room.add` raises,
    RequestTimeout, ClientDisconnect."""
    return b"".join([chunk async for chunk in _counted(request, room)])


async def beside_loop(size: int, work: Callable[..., T], *args: Any) -> T:
    """`work(*args)` about `size` bytes: in a thread where they are many, for other requests are answered meanwhile."""
    return await run_in_threadpool(work, *args) if size > LARGE_BYTES else work(*args)


async def read_image(request: Request, room: Room, *, max_bytes: int) -> bytes:
    """The body, or the field `file` of a form. Raises besides MediaTypeUnsupported, RequestInvalid, UploadInvalid."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        content = await _file_in(request, room, content_type)
    elif not kind or kind == CURL_TYPE or kind.startswith(RAW_TYPES):
        content = await read_body(request, room)
    else:
        raise _unsupported(kind)
    if kind == CURL_TYPE and content.startswith(b"file="):
        raise _unsupported(kind)
    if not content:
        raise RequestInvalid("The body is empty: send an image.")
    if len(content) > max_bytes:
        raise UploadTooLarge(f"The image has more than {max_bytes} bytes.", limit_bytes=max_bytes)
    return content


def _unsupported(kind: str) -> MediaTypeUnsupported:
    detail = (
        f"{kind[:80]!r} is no image. Send its bytes as image/jpeg, image/png, ... or application/octet-stream, "
        "or a form with the field `file` (curl -F file=@image.jpg)."
    )
    return MediaTypeUnsupported(detail, content_type=kind[:80])


async def _file_in(request: Request, room: Room, content_type: str) -> bytes:
    file = bytearray()
    form = FormReader(content_type, file.extend)
    async for chunk in _counted(request, room):
        form.feed(chunk)
    form.finish()
    return bytes(file)


async def _counted(request: Request, room: Room) -> AsyncIterator[bytes]:
    announced = request.headers.get("content-length", "")
    counted, arrived, begun = int(announced) if announced.isdigit() else 0, 0, clock.monotonic()
    room.add(counted)
    async for chunk in request.stream():
        arrived += len(chunk)
        room.require_rate(arrived, since=begun)
        if arrived > counted:
            room.add(arrived - counted)
            counted = arrived
        yield chunk
