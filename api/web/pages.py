"""Pages beside those below /ui/: the problems, the API's documentation. Only Swagger UI runs a script."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

PROBLEM_PAGES = Path(__file__).resolve().parents[2] / "docs" / "problems"
STATIC = Path(__file__).resolve().parent / "static"
TEMPLATES = Path(__file__).resolve().parent / "templates"

_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
# Swagger UI sets styles on its elements and draws its icons from data: URLs; its requests go to this service only.
_DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_FILE_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)*[\w/-]+\.md(?:#[\w-]+)?\)")


def wants_html(request: Request) -> bool:
    """A browser accepts text/html by name; a program accepts */* or application/json."""
    return "text/html" in request.headers.get("accept", "")


def problem_page(title: str, text: str) -> HTMLResponse:
    """`text` is Markdown."""
    return _page("problem.html", title=title, content=html_of(text))


def docs_page() -> HTMLResponse:
    return _page("docs.html", csp=_DOCS_CSP)


@lru_cache(maxsize=128)
def problem_text(slug: str) -> str | None:
    """The Markdown of a problem's page, or None. `slug` is that of a known error, never a path."""
    path = PROBLEM_PAGES / f"{slug}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def html_of(text: str) -> Markup:
    """CommonMark as HTML. HTML in the text is escaped; links to scripts and to files of the repository become text."""
    served = _FILE_LINK.sub(r"\1", text)
    return Markup(MarkdownIt("commonmark", {"html": False}).render(served))  # noqa: S704 - escaped by the renderer


def _page(template: str, *, csp: str = _CSP, **values: Any) -> HTMLResponse:
    html = _templates().get_template(template).render(values)
    return HTMLResponse(html, headers={"content-security-policy": csp, "vary": "accept"})


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
