"""Middleware for every request: request id, token, host, size limit of the body, security headers, a log event.

Plain ASGI, so that streams pass through unbuffered.
"""

import hmac
import logging
import re
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import problem_response
from core import clock
from core.domain.errors import DarkroomError, Internal, LimitExceeded, RequestInvalid, Unauthorized

BODY_MAX_BYTES = 1024**2  # of every request except uploads; the largest params have a few KB
OWN_LIMIT_PATHS = re.compile(r"/upload-dataset|/preflight|/uploads(/.*)?")  # these routes limit their bodies themselves
TUS_PATHS = re.compile(r"/uploads(/.*)?")
OPEN_PATHS = ("/health", "/ready")

_PORT = re.compile(r":[0-9]*$")
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    # No script, style or frame; the pages for people set a policy of their own.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}

log = structlog.get_logger(__name__)


class RequestMiddleware:
    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str] = frozenset()) -> None:
        """`hosts`: the host names that requests may use; empty for any."""
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, start = _request_id(scope), clock.monotonic()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if TUS_PATHS.fullmatch(scope["path"]):
                    headers.setdefault("tus-resumable", "1.0.0")  # required in every answer
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._answer(scope, receive, send_safely)
        except ClientDisconnect:
            log.info("request.disconnected")
        except Exception as error:
            log.exception("request.crashed")
            if status:
                raise  # the answer has begun: the server closes the connection, which the client notices
            problem = Internal(f"An unexpected error. Its details are in the service's log under {request_id}.")
            problem.__cause__ = error
            await problem_response(problem, Request(scope))(scope, receive, send_safely)
        finally:
            seconds = round(clock.monotonic() - start, 4)
            # Polling is most of the traffic and rarely of interest.
            level = logging.DEBUG if scope["method"] in ("GET", "HEAD") and 0 < status < 400 else logging.INFO
            log.log(level, "request.done", method=scope["method"], path=scope["path"], status=status, seconds=seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _check_host(scope, self._hosts)
            _check_token(scope, self._token)
            _check_text(scope)
            _check_site(scope)
            body = receive if OWN_LIMIT_PATHS.fullmatch(scope["path"]) else _with_limit(scope, receive)
        except DarkroomError as error:
            await problem_response(error, Request(scope))(scope, receive, send)
            return
        await self._app(scope, body, send)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _VALID_ID.fullmatch(given) else f"req_{uuid4().hex}"


def _check_host(scope: Scope, hosts: frozenset[str]) -> None:
    """Against DNS rebinding: a hostile page whose name resolves to this machine still sends that name as Host."""
    if not hosts or scope["path"] in OPEN_PATHS:
        return
    host = _PORT.sub("", Headers(scope=scope).get("host", "")).lower()
    if host not in hosts:
        raise RequestInvalid(
            f"The host {host[:100]!r} is not a name of this service. Its operator can set DARKROOM_PUBLIC_URL."
        )


def _check_token(scope: Scope, token: str) -> None:
    if not token or scope["path"] in OPEN_PATHS:
        return
    scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
    # compare_digest takes the same time however much of the token is right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Unauthorized("Send the header `Authorization: Bearer <token>`.")


def _check_text(scope: Scope) -> None:
    # No id or name has one, and PostgreSQL refuses text with a NUL character.
    if b"%00" in scope["query_string"] or "\x00" in scope["path"]:
        raise RequestInvalid("The path or the query contains a NUL character.")


def _check_site(scope: Scope) -> None:
    """Against cross-site requests: a page of another site can send forms to a service on loopback."""
    if scope["method"] not in ("GET", "HEAD") and Headers(scope=scope).get("sec-fetch-site") == "cross-site":
        raise RequestInvalid("A page of another site may only send GET and HEAD.")


def _with_limit(scope: Scope, receive: Receive) -> Receive:
    announced = Headers(scope=scope).get("content-length", "0")
    if announced.isdigit() and int(announced) > BODY_MAX_BYTES:
        raise _too_large()
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_MAX_BYTES:
            raise _too_large()
        return message

    return receive_counted


def _too_large() -> LimitExceeded:
    return LimitExceeded(f"The body exceeds the limit of {BODY_MAX_BYTES} bytes.", limit_bytes=BODY_MAX_BYTES)
