"""The pages, from the router: one that is added is looked at without a line in a test."""

import re
from collections.abc import Iterator, Mapping

from fastapi.routing import APIRoute

from api.pages.areas import AREAS

# Answers of the router that are no pages.
NO_PAGES = ("/ui/assets/{digest}/{name:path}", "/ui/events", "/ui/login")
# What a page shows by its query, beside what it shows without one.
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/ui/": ("implicit=true", "q=nothing-has-this-name"),
    "/ui/datasets/{job_id}/images": ("sort=-boxes&split=train",),
}
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def templates() -> Iterator[str]:
    """Their paths, as `/ui/projects/{project}`."""
    for area in AREAS:
        for route in area.router.routes:
            if isinstance(route, APIRoute) and "GET" in route.methods and route.path not in NO_PAGES:
                yield route.path


def addresses(examples: Mapping[str, str]) -> Iterator[str]:
    """Each page, with `examples` for its parameters, and with each of QUERIES. Raises KeyError for a new parameter."""
    for template in templates():
        address = PARAMETER.sub(lambda found: examples[found[1]], template)
        yield address
        yield from (f"{address}?{query}" for query in QUERIES.get(template, ()))
