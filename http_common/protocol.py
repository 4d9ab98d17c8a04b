"""HTTP/1.1 with limits on what a client may send, and take, before a request reaches the application.

uvicorn's own protocol limits neither the head of a request nor the time that it takes to arrive.
"""

import asyncio
import fcntl
import json
import termios
from array import array
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from core.domain.errors import DarkroomError, HeadTooLarge, RequestInvalid, RequestTimeout, Unavailable, UrlTooLong
from http_common.headers import SAFE_HEADERS
from http_common.problems import MEDIA_TYPE, RETRY_SECONDS, problem_of

HEAD_SECONDS = 10.0  # from the first byte of a head, or the start of a connection, to the end of the head
MAX_URL_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024  # Upload-Metadata may have 16 KiB
MAX_HEADERS = 100
MAX_PIPELINED = 16  # requests that wait for the answer of an earlier one; browsers send none so
LINGER_SECONDS = 30.0  # a client that is answered early may go on sending its body this long: then it reads the answer
REFUSED_SECONDS = 2.0  # the same for a head that is refused
UNREAD_SECONDS = 60.0  # a client that takes nothing of its answer for this long is gone
_PIECE_BYTES = 16 * 1024

log = structlog.get_logger(__name__)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. uvicorn's `limit_concurrency` is the number of connections.

    Beyond it a new connection takes the place of the one that has waited longest for a head, so that idle and
    half-sent requests lock nobody out; when all of them are being answered, the new one gets 503.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._max_connections, self.limit_concurrency = config.limit_concurrency, None
        self.waiting_since: float | None = None  # for a head; None while a request is received or answered
        self.url = b""
        self._in_head = self._in_body = self._refused = False
        self._unparsed = 0  # bytes since the last complete head or piece of a body
        self._refusal: DarkroomError | None = None
        self._arrival: asyncio.TimerHandle | None = None  # ends a head or a body that does not arrive
        self._unread: asyncio.TimerHandle | None = None  # ends an answer that is not read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        super().connection_made(transport)
        if self._max_connections is not None and len(self.connections) > self._max_connections:
            self._make_room(self._max_connections)
        if not self._refused:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._cancel_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return  # read and dropped: a connection closed with unread bytes would lose the answer
        self._unset_keepalive_if_required()
        for start in range(0, len(data), _PIECE_BYTES):
            if not self._feed(data[start : start + _PIECE_BYTES]):
                return
        idle = (self.cycle is None or self.cycle.response_complete) and not self._in_body
        if (self._in_head or idle) and self._arrival is None:
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_unless_read()

    def resume_writing(self) -> None:
        self._cancel_unread()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._stop_parsing(UrlTooLong(f"The URL exceeds the limit of {MAX_URL_BYTES} bytes.", limit=MAX_URL_BYTES))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # behind a chunked body: too late to be checked
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._stop_parsing(HeadTooLarge(f"The request has more than {MAX_HEADERS} headers.", limit=MAX_HEADERS))

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body, self._unparsed = False, True, 0
        self._stop_waiting()
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop_parsing(Unavailable("Too many requests wait for an answer on this connection."))
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._unparsed = False, 0
        super().on_message_complete()
        if self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unless_read()
        elif not self.cycle.response_complete:
            return  # the next request of the connection was received meanwhile
        elif self._in_body:
            self._arrival = self.loop.call_later(LINGER_SECONDS, self._close)
        else:
            self.waiting_since = self.loop.time()

    def _make_room(self, limit: int) -> None:
        others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self]
        waiting = [each for each in others if each.waiting_since is not None]
        if waiting:
            min(waiting, key=lambda each: each.waiting_since or 0.0).close_idle()
        elif len(self.connections) <= 2 * limit:
            self._refuse(Unavailable(f"The service has its limit of {limit} connections."))
        else:  # too many to answer each
            self._refused = True
            self.transport.abort()

    def close_idle(self) -> None:
        """End a connection that waits for a head."""
        self._stop_waiting()
        self._close()

    def _await_head(self) -> None:
        if self.waiting_since is None and not self._is_answering():
            self.waiting_since = self.loop.time()
        self._arrival = self.loop.call_later(HEAD_SECONDS, self._end_late_head)

    def _stop_waiting(self) -> None:
        self.waiting_since = None
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _end_late_head(self) -> None:
        if self._in_head:
            self._refuse(RequestTimeout(f"The head of the request did not arrive within {HEAD_SECONDS:.0f} s."))
        else:
            self._close()

    def _feed(self, piece: bytes) -> bool:
        """False: nothing more may be parsed."""
        self._unparsed += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:  # the request is answered as HTTP/1.1, what follows is something else
            self.cycle.keep_alive = False
            return False
        except httptools.HttpParserError:
            self._refuse(self._refusal or RequestInvalid("The request is not valid HTTP/1.1."))
            return False
        if self._unparsed > MAX_HEAD_BYTES:
            limit = f"The headers exceed the limit of {MAX_HEAD_BYTES} bytes."
            self._refuse(HeadTooLarge(limit, limit_bytes=MAX_HEAD_BYTES))
            return False
        return True

    def _stop_parsing(self, refusal: DarkroomError) -> None:
        self._refusal = refusal
        raise refusal  # from a callback of the parser, which wraps it

    def _refuse(self, error: DarkroomError) -> None:
        """Answer before a request has reached the application, and close."""
        self._refused = True
        self._stop_waiting()
        if self._is_answering():
            self._close()
            return
        self.transport.write(self._answer(error))
        self.transport.write_eof()
        self._arrival = self.loop.call_later(REFUSED_SECONDS, self.transport.abort)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer(self, error: DarkroomError) -> bytes:
        request_id = f"req_{uuid4().hex}"
        path = self.url.partition(b"?")[0][:200].decode("latin-1")
        problem = problem_of(error, path=path, request_id=request_id)
        log.info("request.refused", slug=error.slug, request_id=request_id, detail=error.detail)
        body = json.dumps(problem).encode()
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            "x-request-id": request_id,
            **SAFE_HEADERS,
            **({"retry-after": RETRY_SECONDS} if isinstance(error, Unavailable) else {}),
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        lines += [name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers]
        return b"".join([STATUS_LINE[problem["status"]], *lines, b"\r\n", body])

    def _close(self) -> None:
        """Close when what was written has been read, or abort after UNREAD_SECONDS."""
        if not self.transport.is_closing():
            self.transport.close()
            self._abort_unless_read()

    def _abort_unless_read(self) -> None:
        self._cancel_unread()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._abort_if_unread, self._unread_bytes())

    def _abort_if_unread(self, earlier_bytes: int) -> None:
        """A slow client that has taken some of `earlier_bytes` gets the same time for more."""
        if self._unread_bytes() < earlier_bytes:
            self._abort_unless_read()
        else:
            self.transport.abort()

    def _unread_bytes(self) -> int:
        """What the client has not confirmed: here, and in the buffer of the system, which empties in bursts."""
        return self.transport.get_write_buffer_size() + _bytes_in_system(self.transport)

    def _cancel_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _bytes_in_system(transport: asyncio.Transport) -> int:
    """0 where the system does not count them."""
    unsent = array("i", [0])
    with suppress(OSError, ValueError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, unsent)
    return unsent[0]
