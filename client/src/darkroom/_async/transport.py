"""Requests: authenticated, sent again where that is safe, their failures as DarkroomErrors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from darkroom._async.runtime import FileBody, sleep
from darkroom.errors import DarkroomError, ServiceUnreachable, UnexpectedAnswer, error_of
from darkroom.login import Login
from darkroom.retries import NOT_SENT, TRANSIENT, Retries, is_repeatable, is_transient, retry_after_seconds
from darkroom.schemas.decode import decode
from darkroom.version import VERSION

T = TypeVar("T")
Query = Mapping[str, "str | int | float | bool | None"]

CONNECT_SECONDS = 10.0
UPLOAD_SECONDS = 600.0  # of a file in one request
PLAIN_TEXT = "text/plain"
PAGE = 100  # items of a list that are read at once


class AsyncTransport:
    """A connection pool to one service. `http` may be given, for example with a transport of its own."""

    def __init__(
        self, login: Login, *, timeout: float, retries: Retries, http: httpx.AsyncClient | None = None
    ) -> None:
        self.url = login.url
        self._retries = retries
        self._http = http or httpx.AsyncClient()
        self._http.base_url = httpx.URL(login.url)
        self._http.timeout = _timeout(timeout)
        self._http.follow_redirects = True  # of renamed projects; httpx sends the token to no other host
        self._http.headers["User-Agent"] = f"darkroom-client/{VERSION}"
        if login.token:
            self._http.headers["Authorization"] = f"Bearer {login.token}"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, kind: type[T], path: str, query: Query | None = None, *, timeout: float | None = None) -> T:
        """GET, as an object."""
        return decode(kind, await self.json("GET", path, query=query, timeout=timeout))

    async def write(
        self, kind: type[T], method: str, path: str, body: Mapping[str, Any] | None = None, query: Query | None = None
    ) -> T:
        """POST with a key, PUT or PATCH, as an object."""
        headers = new_key() if method == "POST" else {}
        return decode(kind, await self.json(method, path, query=query, body=body, headers=headers))

    async def write_file(self, kind: type[T], path: str, file: Path, *, media_type: str, query: Query) -> T:
        """POST of a file with a key, as an object."""
        body = FileBody(file)
        headers = {"Content-Type": media_type, "Content-Length": str(body.length), **new_key()}
        answer = await self.send("POST", path, query=query, content=body, headers=headers, timeout=UPLOAD_SECONDS)
        return decode(kind, json_of(answer))

    async def pages(self, kind: type[T], path: str, query: Query | None = None) -> AsyncIterator[T]:
        """Every item of a list, a page of `limit` at a time."""
        cursor: str | None = None
        while True:
            page = await self.json("GET", path, query={"limit": PAGE, **(query or {}), "cursor": cursor})
            for item in page["items"]:
                yield decode(kind, item)
            cursor = page.get("next_cursor")
            if not cursor:
                return

    async def items(self, kind: type[T], path: str) -> AsyncIterator[T]:
        """Every item of a list that has no pages."""
        for item in (await self.json("GET", path))["items"]:
            yield decode(kind, item)

    async def json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        response = await self.send(
            method, path, query=query, body=body, headers=headers, repeatable=repeatable, timeout=timeout
        )
        return json_of(response)

    async def text(self, path: str, query: Query | None = None) -> str:
        """GET of plain text. Raises UnexpectedAnswer for another type, as a page of a proxy."""
        response = await self.send("GET", path, query=query)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != PLAIN_TEXT:
            raise unexpected(response, f"with {media_type or 'no type'} instead of {PLAIN_TEXT}")
        return response.text

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | FileBody | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """The answer, read to its end. Raises DarkroomError for every status from 400 on, after the retries.

        `repeatable`: whether the request may be done twice; by default that of its method, or of its key.
        """
        request = self._http.build_request(
            method,
            path,
            params=_given(query),
            json=body,
            content=content,
            headers=headers,
            timeout=_timeout(timeout) if timeout else httpx.USE_CLIENT_DEFAULT,
        )
        safe = is_repeatable(method, headers or {}) if repeatable is None else repeatable
        response = await self._answered(request, repeatable=safe, stream=False)
        if response.is_error:
            raise failure_of(response)
        return response

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """GET, to be read piece by piece. A connection that breaks while it is read raises an httpx.TransportError."""
        request = self._http.build_request("GET", path, params=_given(query), headers=headers)
        response = await self._answered(request, repeatable=True, stream=True)
        try:
            if response.is_error:
                await response.aread()
                raise failure_of(response)
            yield response
        finally:
            await response.aclose()

    async def _answered(self, request: httpx.Request, *, repeatable: bool, stream: bool) -> httpx.Response:
        attempt = 1
        while True:
            last = attempt >= self._retries.attempts
            try:
                response = await self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                if last or not (repeatable or isinstance(error, NOT_SENT)):
                    raise self.unreachable(error) from error
                pause = self._retries.pause(attempt, None)
            except httpx.RequestError as error:  # a circle of redirects, or bytes that are not compressed as they claim
                raise UnexpectedAnswer(f"{request.url} answers wrongly: {str(error).rstrip('.')}.") from error
            else:
                if last or not is_transient(response, repeatable=repeatable):
                    return response
                await response.aclose()
                pause = self._retries.pause(attempt, retry_after_seconds(response))
            await sleep(pause)
            attempt += 1

    def unreachable(self, error: httpx.TransportError) -> ServiceUnreachable:
        reason = str(error).rstrip(".") or type(error).__name__
        return ServiceUnreachable(f"{self.url} does not answer: {reason}.", slug="unreachable")


def new_key() -> dict[str, str]:
    """With it the service does a POST once, however often it arrives."""
    return {"Idempotency-Key": str(uuid4())}


def json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise unexpected(response) from error


def failure_of(response: httpx.Response) -> DarkroomError:
    """A proxy's own page for a service that is away means that the service is unavailable."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and "slug" in body:
        return error_of(response.status_code, body)
    if response.status_code in TRANSIENT:
        return error_of(response.status_code, {"detail": f"{response.url} answered {response.status_code}."})
    return unexpected(response)


def unexpected(response: httpx.Response, how: str = "without JSON of Darkroom") -> UnexpectedAnswer:
    detail = f"{response.url} answered {response.status_code} {how}: is it the right address?"
    return UnexpectedAnswer(detail, status=response.status_code)


def _timeout(seconds: float) -> httpx.Timeout:
    """However long an answer may take: a host that does not exist is reported soon."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def _given(query: Query | None) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in (query or {}).items() if value is not None}
