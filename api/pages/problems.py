"""Every failure below /ui/ as the problem that it is, inside the layout."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from api.pages.rendering import remedy, render
from api.web.pages import html_of, problem_text, wants_html
from core.domain import errors

router = APIRouter(prefix="/ui/problems", include_in_schema=False)

_PREFIX = "/ui/"


def page_of_problem(request: Request, problem: Mapping[str, Any], headers: Mapping[str, str]) -> Response | None:
    """For a browser below /ui/, the page of `problem`, which is RFC 9457's; otherwise None."""
    if not request.url.path.startswith(_PREFIX) or not wants_html(request):
        return None
    page = render(request, "problems.html", int(problem["status"]), problem=problem)
    page.headers.update({name: value for name, value in headers.items() if name != "cache-control"})
    return page


@router.get("/{slug}")
def explain(request: Request, slug: str) -> HTMLResponse:
    """What a problem means and what to do about it. Raises NotFound."""
    known = {kind.slug: kind for kind in errors.all_errors()}
    if slug not in known:
        raise errors.NotFound(f"There is no problem called {slug[:80]!r}.", requested=slug[:80])
    text = (problem_text(slug) or "").partition("## What to do")[0].partition("\n")[2]  # without its title
    title = known[slug].title
    return render(request, "problem_page.html", title=title, content=html_of(text), steps=remedy(slug))
