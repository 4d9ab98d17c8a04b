"""Browsers with a session: their cookie, who it belongs to, and the way to the page that opens one."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from core import clock
from http_common.sites import OWN_SITE, SAFE_METHODS

HOME, SIGN_IN, SIGN_OUT = "/ui/", "/ui/login", "/ui/logout"
KEEP_SECONDS = 3.0  # a session that another process revoked is accepted this long at most
_MOST_KEPT = 1000
_LOOKUPS = 2  # at once: guesses of cookies take no thread from others
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_PORT = re.compile(r":([0-9]{1,5})$")
_OWN_PAGE = re.compile(r"/ui(?:[/?][^\\\x00-\x20\x7f]*)?")
_CLIMBS = re.compile(r"/\.{1,2}(?:/|$)")  # which a browser resolves: `/ui/../jobs`
_MAX_NEXT = 1000


class Sessions:
    """The ids of sessions by their secrets, for one event loop; looked up in threads, each remembered for a moment.

    `find` is core's `find_session`.
    """

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._limiter = CapacityLimiter(_LOOKUPS)
        self._kept: dict[str, tuple[float, str | None]] = {}
        self._pending: dict[str, asyncio.Task[str | None]] = {}
        self._revision = 0

    async def of(self, scope: Scope, headers: Headers) -> str | None:
        """The id of the session whose cookie this request has, and may use; None without one."""
        secret = cookie_parser(headers.get("cookie", "")).get(cookie_name(headers), "")
        if not _SECRET.fullmatch(secret) or not _may_use(scope["method"], headers):
            return None
        until, session_id = self._kept.get(secret, (0.0, None))
        if clock.monotonic() < until:
            return session_id
        task = self._pending.get(secret)
        if task is None:
            task = self._pending[secret] = asyncio.create_task(self._read(secret))
        return await asyncio.shield(task)  # others may wait for it when this request ends

    def forget(self) -> None:
        """A session was revoked by this process: it is accepted no longer."""
        self._revision += 1
        self._kept.clear()
        self._pending.clear()

    async def _read(self, secret: str) -> str | None:
        revision = self._revision
        try:
            found = await run_sync(self._find, secret, limiter=self._limiter)
        finally:
            if revision == self._revision:
                self._pending.pop(secret, None)
        if revision == self._revision:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[secret] = (clock.monotonic() + KEEP_SECONDS, found)
        return found


def cookie_name(headers: Headers) -> str:
    """With the port in it: all ports of a host share their cookies."""
    port = _PORT.search(headers.get("host", ""))
    return f"darkroom_session_{port.group(1)}" if port else "darkroom_session"


def set_cookie(response: Response, headers: Headers, scheme: str, secret: str, *, seconds: float) -> None:
    """`scheme`: of the request. Behind a proxy that ends TLS, `Origin` says that the page is one of https."""
    secure = "https" in (scheme, headers.get("origin", "").partition("://")[0].lower())
    response.set_cookie(
        cookie_name(headers), secret, max_age=int(seconds), path="/", secure=secure, httponly=True, samesite="strict"
    )


def delete_cookie(response: Response, headers: Headers) -> None:
    response.delete_cookie(cookie_name(headers), path="/", httponly=True, samesite="strict")


def own_page(path: str | None) -> str:
    """`path` where it is that of a page of the service, to which a browser may be led; else the home page."""
    given = path or ""
    own = len(given) <= _MAX_NEXT and _OWN_PAGE.fullmatch(given) and not given.startswith((SIGN_IN, SIGN_OUT))
    climbs = _CLIMBS.search(unquote(given.partition("?")[0]))
    return given if own and not climbs else HOME


def sign_in_first(scope: Scope, headers: Headers) -> Response | None:
    """Where a browser asks for a page without a session: the way to the one that opens one. None for programs."""
    path: str = scope["path"]
    if path != "/" and not _OWN_PAGE.fullmatch(path):
        return None
    if headers.get("hx-request") == "true":  # a part of a page: the page as a whole goes there
        target = _sign_in_for(_page_in(headers.get("hx-current-url", "")))
        return Response(status_code=401, headers={"hx-redirect": target, "cache-control": "no-store"})
    if "text/html" not in headers.get("accept", ""):
        return None
    query = scope["query_string"].decode("latin-1")
    wanted = f"{quote(path)}?{query}" if query else quote(path)
    target = _sign_in_for(wanted if scope["method"] in SAFE_METHODS else HOME)
    return RedirectResponse(target, status_code=303, headers={"cache-control": "no-store"})


def _page_in(address: str) -> str:
    """Its path and query; empty for what is no address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _sign_in_for(page: str) -> str:
    wanted = own_page(page)
    return SIGN_IN if wanted == HOME else f"{SIGN_IN}?next={quote(wanted, safe='')}"


def _may_use(method: str, headers: Headers) -> bool:
    """A page of another port gets the cookie sent with what it embeds, but no answer; whoever follows a link does.

    Requests that change something are refused by name (sites.check_site).
    """
    site = headers.get("sec-fetch-site")
    return method not in SAFE_METHODS or site in OWN_SITE or headers.get("sec-fetch-mode") == "navigate"
