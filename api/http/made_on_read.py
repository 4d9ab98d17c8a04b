"""Files that are made when they are first read: until then GET answers 202 with the operation that makes them."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from api.schemas.links import link
from api.schemas.operations import Operation, operation_of
from core.db.tables import OperationRow
from http_common.problems import RETRY_SECONDS
from http_common.sites import OTHER_SITES

WAITS: dict[int | str, dict[str, Any]] = {
    202: {
        "model": Operation,
        "description": "It, or what it is made of, is being written: the operation that it waits for. Ask again after "
        "that.",
        "headers": {
            "Location": {"description": "The operation.", "schema": {"type": "string"}},
            "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}},
        },
    }
}


def queues_nothing(request: Request) -> bool:
    """HEAD, what a browser prefetches, and what a page of another site embeds or links to: they queue nothing."""
    headers = request.headers
    is_prefetch = "prefetch" in headers.get("sec-purpose", "")
    return request.method == "HEAD" or is_prefetch or headers.get("sec-fetch-site") in OTHER_SITES


def waiting(operation: OperationRow | None, slug: str) -> Response:
    """`slug`: of its project. None: nothing makes it yet."""
    headers = {"retry-after": RETRY_SECONDS, "cache-control": "no-store"}
    if operation is None:
        return Response(status_code=202, headers=headers)
    body = operation_of(operation, {str(operation.project_id): slug})
    headers["location"] = link(f"/operations/{operation.id}")
    return Response(body.model_dump_json(), status_code=202, headers=headers, media_type="application/json")
