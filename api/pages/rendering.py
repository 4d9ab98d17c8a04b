"""Templates to answers: the values that every page has, the filters, the Content-Security-Policy."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.pages import filters
from api.pages.assets import address_of, are_built
from api.web.pages import html_of, problem_text
from core.domain.finding_codes import title_of

TEMPLATES = Path(__file__).resolve().parent / "templates"

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_REMEDY = "## What to do"
# Cookies are shared between the ports of a host: MLflow's page is linked by the other name of loopback.
_OTHER_LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page that `template` (a path below templates/) makes of `values`.

    Every page also has `request`, `version`, `mlflow_url` (empty without MLflow), `admitted` (not where a request is
    refused before it is known whose it is), `signed_in` (whether there is a session to end), `nav` (the active item of
    the menu: `projects`, `try`, `system`, or empty), and the functions `assets` and `remedy`.
    Raises jinja2.UndefinedError where the template uses a value that is not given.
    """
    app = request.app
    every: dict[str, Any] = {
        "request": request,
        "version": app.version,
        "mlflow_url": mlflow_url(request, app.state.platform.settings.mlflow_link),
        "admitted": getattr(request.state, "admitted", False),
        "signed_in": getattr(request.state, "signed_in", False),
        "nav": "",
    }
    html = templates().get_template(template).render(every | values)
    headers = {
        "content-security-policy": CSP,
        "referrer-policy": "same-origin",  # with `no-referrer` a browser sends forms with `Origin: null`
        "cache-control": "no-store",
        "vary": "accept, cookie, hx-request",
    }
    return HTMLResponse(html, status_code=status, headers=headers)


def mlflow_url(request: Request, link: str) -> str:
    """MLflow's address for this browser; empty where there is none."""
    parts = urlsplit(link)
    other = _OTHER_LOOPBACK.get(parts.hostname or "")
    if not other or parts.hostname != request.url.hostname:
        return link
    return urlunsplit(parts._replace(netloc=f"{other}:{parts.port}" if parts.port else other))


@lru_cache(maxsize=128)
def remedy(slug: str) -> Markup:
    """What to do about a problem, as HTML; empty for a slug that no problem has."""
    text = (problem_text(slug) or "").partition(_REMEDY)[2]
    return html_of(text.partition("\n## ")[0])


@lru_cache(maxsize=1)
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own: dict[str, Callable[..., Any]] = {
        "bytes": filters.bytes_text,
        "duration": filters.duration,
        "ago": filters.ago,
        "number": filters.number,
        "percent": filters.percent,
        "metric": filters.metric,
        "direction": filters.direction,
        "short_hash": filters.short_hash,
        "tree_lines": filters.tree_lines,
        "finding_title": title_of,
    }
    environment.filters.update(own)
    environment.globals.update(assets=address_of, assets_are_built=are_built, remedy=remedy)
    return environment
