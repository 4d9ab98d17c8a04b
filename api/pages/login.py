"""Signing in with the token, once a browser, and out again. Without a token in the settings there is neither."""

import asyncio
import hmac
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from api.dependencies import CurrentPlatform
from api.pages.rendering import render
from core.domain.errors import SessionNotFound
from core.services.context import Platform
from core.services.sessions.commands import open_session, revoke_session
from http_common.sessions import SIGN_IN, Sessions, delete_cookie, own_page, set_cookie
from http_common.sites import OWN_SITE

router = APIRouter(prefix="/ui", include_in_schema=False)

WRONG_SECONDS = 0.5  # a wrong token is answered after this time
MAX_TOKEN = 4000

_BROWSERS = (  # the first that its User-Agent names: Edge and Opera name Chrome, too, and Chrome Safari
    ("Edge", "Edg"),
    ("Opera", "OPR/"),
    ("Firefox", "Firefox/"),
    ("Chrome", "Chrome/"),
    ("Safari", "Safari/"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("macOS", "Macintosh"),
    ("ChromeOS", "CrOS"),
    ("Linux", "Linux"),
)


@router.get("/login")
async def login(request: Request, platform: CurrentPlatform, next: str = "") -> Response:
    """The form; a browser that has a session, or needs none, goes on to `next`."""
    if not _token(platform) or getattr(request.state, "session_id", None):
        return RedirectResponse(own_page(next), status_code=303)
    return _form(request, next)


@router.post("/login")
async def sign_in(
    request: Request,
    platform: CurrentPlatform,
    token: Annotated[str, Form(max_length=MAX_TOKEN)] = "",
    next: Annotated[str, Form(max_length=MAX_TOKEN)] = "",
) -> Response:
    """Open a session for the token and go on to `next`."""
    expected = _token(platform)
    if not expected:
        return RedirectResponse(own_page(next), status_code=303)
    if not hmac.compare_digest(token.strip().encode(), expected.encode()):
        await asyncio.sleep(WRONG_SECONDS)
        return _form(request, next, error="This is not the token of this service.")
    label = _label(request.headers.get("user-agent", ""))
    opened = await run_in_threadpool(open_session, platform.db, platform.settings, label=label)
    answer = RedirectResponse(own_page(next), status_code=303, headers={"cache-control": "no-store"})
    seconds = platform.settings.session_days * 86400
    set_cookie(answer, request.headers, request.url.scheme, opened.secret, seconds=seconds)
    return answer


@router.post("/logout")
async def sign_out(request: Request, platform: CurrentPlatform) -> Response:
    """End this browser's session."""
    if session_id := getattr(request.state, "session_id", None):
        with suppress(SessionNotFound):  # revoked meanwhile
            await run_in_threadpool(revoke_session, platform.db, session_id)
        sessions: Sessions = request.app.state.sessions
        sessions.forget()
    answer = RedirectResponse(SIGN_IN, status_code=303)
    delete_cookie(answer, request.headers)
    return answer


def _form(request: Request, wanted: str, *, error: str = "") -> Response:
    """A link of another site leads here without the cookie (SameSite=Strict): the page then asks again by itself."""
    again = not error and request.headers.get("sec-fetch-site") not in OWN_SITE
    status = 401 if error else 200
    return render(request, "login/login.html", status, next=own_page(wanted), error=error, ask_again=again)


def _token(platform: Platform) -> str:
    return platform.settings.api_token.get_secret_value()


def _label(user_agent: str) -> str:
    """`Firefox, Linux`: names of our own, whatever the header contains."""
    names = (next((name for name, mark in marks if mark in user_agent), "") for marks in (_BROWSERS, _SYSTEMS))
    return ", ".join(filter(None, names)) or "A program"
