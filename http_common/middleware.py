"""Middleware for every request: request id, host, token, origin, limits of the body, security headers, a log event.

Plain ASGI, so that streams pass through unbuffered.
"""

import hmac
import logging
import re
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import clock
from core.domain.errors import DarkroomError, Internal, RequestInvalid, Unauthorized
from core.settings import Settings
from http_common.bodies import read_small, without_pauses
from http_common.headers import SAFE_PAIRS, with_defaults
from http_common.problems import problem_response
from http_common.sessions import Sessions, sign_in_first
from http_common.sites import check_host, check_site, host_names

OPEN_PATHS = ("/health", "/ready")
NO_PATH = re.compile(r"(?!)")

_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
log = structlog.get_logger(__name__)


class RequestMiddleware:
    """`own_limits`: the paths that limit their bodies themselves; `tus`: those of the tus protocol.

    `sessions`: of browsers, where the service has pages; `open_pages`: those that a browser needs to open one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        own_limits: re.Pattern[str] = NO_PATH,
        tus: re.Pattern[str] = NO_PATH,
        sessions: Sessions | None = None,
        open_pages: re.Pattern[str] = NO_PATH,
    ) -> None:
        self._app = app
        self._own_limits, self._tus = own_limits, tus
        self._sessions, self._open_pages = sessions, open_pages
        self._token = settings.api_token.get_secret_value()
        self._hosts = host_names(settings)
        self._public_url = settings.public_url
        self._idle_seconds = settings.idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, start = Headers(scope=scope), clock.monotonic()
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), *SAFE_PAIRS]
                if self._tus.fullmatch(scope["path"]):
                    own.append((b"tus-resumable", b"1.0.0"))  # required in every answer
                message["headers"] = with_defaults(message["headers"], own)
            await send(message)

        try:
            await self._answer(scope, headers, receive, send_safely)
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

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            await self._check(scope, headers)
            if "content-length" in headers or "transfer-encoding" in headers:
                receive = without_pauses(receive, seconds=self._idle_seconds)
                if not self._own_limits.fullmatch(scope["path"]):
                    receive = await read_small(headers, receive)
        except DarkroomError as error:
            answer = sign_in_first(scope, headers) if self._sessions and isinstance(error, Unauthorized) else None
            await (answer or problem_response(error, Request(scope)))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope, headers: Headers) -> None:
        by_cookie = False
        if scope["path"] not in OPEN_PATHS:
            check_host(headers, self._hosts)
            by_cookie = await self._authenticated_by_cookie(scope, headers)
        _check_text(scope)
        check_site(scope["method"], headers, public_url=self._public_url, by_cookie=by_cookie)

    async def _authenticated_by_cookie(self, scope: Scope, headers: Headers) -> bool:
        """Else by the token, or nothing is asked for; `admitted` in the state, but for pages that are open to anybody.

        Raises Unauthorized.
        """
        if not self._token:
            scope["state"]["admitted"] = True
            return False
        if self._sessions and "authorization" not in headers:
            session_id = await self._sessions.of(scope, headers)
            scope["state"] |= {"session_id": session_id, "signed_in": session_id is not None}
            if session_id:
                scope["state"]["admitted"] = True
                return True
        if self._open_pages.fullmatch(scope["path"]):
            return True
        _check_token(headers, self._token)
        scope["state"]["admitted"] = True
        return False


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _VALID_ID.fullmatch(given) else f"req_{uuid4().hex}"


def _check_token(headers: Headers, token: str) -> None:
    if not token:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # compare_digest takes the same time however much of the token is right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Unauthorized("Send the header `Authorization: Bearer <token>`.")


def _check_text(scope: Scope) -> None:
    # No id or name has one, and PostgreSQL refuses text with a NUL character.
    if b"%00" in scope["query_string"] or "\x00" in scope["path"]:
        raise RequestInvalid("The path or the query contains a NUL character.")
