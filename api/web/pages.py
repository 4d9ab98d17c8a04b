"""The few pages for people: what this service is, the problems, the API's documentation. No script but Swagger UI's."""

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse

PROBLEM_PAGES = Path(__file__).resolve().parents[2] / "docs" / "problems"
STATIC = Path(__file__).resolve().parent / "static"

_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
# Swagger UI sets styles on its elements and draws its icons from data: URLs; it asks this service only.
_DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


def wants_html(request: Request) -> bool:
    """A browser says text/html first; a program says */* or application/json."""
    return "text/html" in request.headers.get("accept", "")


def page(title: str, body: str) -> HTMLResponse:
    """`body` is HTML, escaped by who made it; `title` is text."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/assets/darkroom.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )
    return HTMLResponse(html, headers={"content-security-policy": _CSP, "vary": "accept"})


def front_page(version: str, links: Mapping[str, str], *, url: str) -> HTMLResponse:
    """`url` is how the browser reaches us."""
    base = escape(url.rstrip("/"))
    items = "".join(
        f'<li><a href="{escape(href)}"><b>{escape(name)}</b><span>{escape(href)}</span></a></li>'
        for name, href in links.items()
    )
    body = (
        "<h1>Darkroom</h1><p class='lead'>Labelled images go in, models come out.</p>"
        "<p>Upload a ZIP and get a job. It is checked, converted and fingerprinted; train on it as often as you like, "
        "and each success is the next version: v1, v2, ... Everything is asynchronous, recorded and resumable.</p>"
        f"<pre>curl -F file=@data.zip '{base}/upload-dataset'\n"
        f"curl -X POST '{base}/train-async/job_...'\n"
        f"curl -OJ '{base}/download/model/job_...'</pre>"
        f"<ul class='links'>{items}</ul><p class='small'>version {escape(version)}</p>"
    )
    return page("Darkroom", body)


def docs_page() -> HTMLResponse:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Darkroom: API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/assets/swagger/swagger-ui.css">'
        '<link rel="icon" href="/assets/swagger/favicon-32x32.png"></head>'
        '<body><div id="docs"></div><script src="/assets/swagger/swagger-ui-bundle.js"></script>'
        '<script src="/assets/docs.js"></script></body></html>'
    )
    return HTMLResponse(html, headers={"content-security-policy": _DOCS_CSP})


@lru_cache(maxsize=128)
def problem_text(slug: str) -> str | None:
    """The Markdown of a problem's page; None when it has none. `slug` is one of ours, never a path."""
    path = PROBLEM_PAGES / f"{slug}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
