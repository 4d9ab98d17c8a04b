"""The OpenAPI document: what FastAPI derives, completed with the problems."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from core.domain import errors
from core.domain.errors import DarkroomError
from http_common.problems import MEDIA_TYPE, status_of
from http_common.schemas import FieldError, Problem

_EVERYWHERE: tuple[type[DarkroomError], ...] = (errors.RequestInvalid, errors.Unauthorized, errors.Unavailable)
_BYTES = {"type": "string", "format": "binary"}
_PROBLEM = {"$ref": "#/components/schemas/Problem"}

OPTIONAL_TOKEN: list[dict[str, list[str]]] = [{}, {"token": []}]  # a service without a token is open
NO_TOKEN: dict[str, Any] = {"security": []}  # the `openapi_extra` of a probe


def problem_responses(*kinds: type[DarkroomError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: each problem it answers, with an example, under its status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in (*_EVERYWHERE, *kinds):
        status = status_of(kind)
        entry = responses.setdefault(
            status, {"description": "", "content": {MEDIA_TYPE: {"schema": _PROBLEM, "examples": {}}}}
        )
        entry["description"] = " / ".join(filter(None, [entry["description"], kind.title]))
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"value": _example(kind)}
    return dict(sorted(responses.items(), key=lambda item: str(item[0])))


def file_responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that sends a file."""
    whole = {media_type: {"schema": _schema_of_file(media_type)} for media_type in media_types}
    part = {media_type: {"schema": _BYTES} for media_type in media_types}
    return {
        200: {"description": "The file, with its sha256 as ETag and in Repr-Digest.", "content": whole},
        206: {"description": "The requested range.", "content": part},
        304: {"description": "The client has the current version (If-None-Match)."},
        307: {"description": "A signed link, with `link=true` where the store supports it."},
    }


def _schema_of_file(media_type: str) -> dict[str, Any]:
    return {} if media_type == "application/json" else _BYTES


_EVENT = {
    "type": "object",
    "description": "One event.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Its number, `7`, or `7.end`: sent back as `Last-Event-ID`."},
        "event": {"type": "string", "description": "Its type; `end` is the last one."},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "JSON."},
    },
}


def event_responses() -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that sends events."""
    return {
        200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": _EVENT}}},
        204: {"description": "The work has ended and `Last-Event-ID` is that of the `end` event: stop reconnecting."},
    }


def install(
    app: FastAPI,
    *,
    tags: Sequence[Mapping[str, str]],
    bodies: Sequence[type[BaseModel]] = (),
    complete: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """`bodies`: of requests that routes read themselves; `complete` adds to the document what only this service has."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, tags, bodies)
            if complete is not None:
                complete(app.openapi_schema)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way FastAPI documents it


def _document(app: FastAPI, tags: Sequence[Mapping[str, str]], bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=[dict(tag) for tag in tags],
    )
    schemas = document["components"]["schemas"]
    models: tuple[type[BaseModel], ...] = (Problem, FieldError, *bodies)
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; an invalid request is a 400 here
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Needed where DARKROOM_API_TOKEN is set."}
    }
    document["security"] = OPTIONAL_TOKEN
    for path in document["paths"].values():
        for operation in path.values():
            _drop_validation_422(operation["responses"])
            _add_missing(operation["responses"], _EVERYWHERE)
            if "requestBody" in operation:
                _add_missing(operation["responses"], (errors.LimitExceeded, errors.RequestTimeout))
    return document


def _add_missing(responses: dict[str, Any], kinds: Iterable[type[DarkroomError]]) -> None:
    for status, response in problem_responses(*kinds).items():
        responses.setdefault(str(status), response)


def _drop_validation_422(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in json.dumps(responses.get("422", {})):
        del responses["422"]


def _example(kind: type[DarkroomError]) -> Mapping[str, Any]:
    return kind().as_problem() | {"status": status_of(kind), "instance": "/...", "request_id": "req_5f0c"}
