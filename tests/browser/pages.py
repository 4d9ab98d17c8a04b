"""The pages, from the router: one that is added is looked at without a line in a test."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from fastapi.routing import APIRoute

from api.pages.areas import AREAS

# Answers of the router that are no pages. A test of sign-in opens its form: without a token there is none.
NO_PAGES = (
    "/ui/assets/{digest}/{name:path}",
    "/ui/events",
    "/ui/login",
    "/ui/datasets/{job_id}/cover",
    "/ui/predict/image",
)
# What a page shows by its query, beside what it shows without one.
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/ui/": ("implicit=true", "q=none-is-called-so"),
    "/ui/predict": ("model={project}/v1", "model={project}/v1&beside={project}/v2"),
    "/ui/projects/{project}/compare": ("a=v1&b=v2", "a=v1&b=v2&dataset={a}"),
    "/ui/projects/{project}/versions/{number}/confusion": ("truth=0&predicted=0",),
    "/ui/runs": ("state=failed",),
    "/ui/datasets/{job_id}/near": ("image={sha256}",),
    "/ui/datasets/{job_id}/images": ("sort=-boxes&split=train", "image={sha256}", "image={sha256}&tiles=s#edit"),
}
NEED_QUERY = ("/ui/datasets/{job_id}/near",)  # without one it answers a problem
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def templates() -> Iterator[str]:
    """Their paths, as `/ui/projects/{project}`."""
    for area in AREAS:
        for route in area.router.routes:
            if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and route.path not in NO_PAGES:
                yield route.path


def addresses(
    examples: Mapping[str, str],
    more: Iterable[tuple[str, Mapping[str, str]]] = (),
    *,
    of: Collection[str] = (),
    with_queries: bool = True,
) -> Iterator[str]:
    """Each page with `examples` for its parameters, with each of QUERIES, and with each of `more` that is its own.

    `of`: those templates alone. Raises KeyError for a parameter that no page had before.
    """
    for template in of or templates():
        address = _filled(template, examples)
        if template not in NEED_QUERY:
            yield address
        if with_queries:
            yield from (f"{address}?{_filled(query, examples)}" for query in QUERIES.get(template, ()))
        yield from (_filled(template, values) for owner, values in more if owner == template)


def _filled(template: str, values: Mapping[str, str]) -> str:
    return PARAMETER.sub(lambda found: values[found[1]], template)
