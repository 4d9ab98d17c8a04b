"""A service that is nothing but its OpenAPI document: it checks requests by it, and answers made-up bodies."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
import jsonschema

from tests import REPOSITORY

DOCUMENT: dict[str, Any] = json.loads((REPOSITORY / "docs" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_BYTES = b"some bytes"


@dataclass
class DocumentedService:
    """`whole`: whether answers have the optional fields too. `called` are the operations, as (method, path)."""

    whole: bool = True
    called: set[tuple[str, str]] = field(default_factory=set)

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, operation = _operation_of(request)
        self.called.add((request.method, path))
        _check_query(request, operation)
        _check_key(request, operation)
        _check_body(request, operation)
        if request.headers.get("last-event-id", "0") != "0":
            return httpx.Response(204)
        return self._made_up(request, operation)

    def _made_up(self, request: httpx.Request, operation: Mapping[str, Any]) -> httpx.Response:
        status, answer = next((int(code), each) for code, each in operation["responses"].items() if code[0] == "2")
        headers = {"upload-offset": request.headers.get("upload-length", "0")}
        content = answer.get("content", {})
        if "text/event-stream" in content:
            text = 'id: 7.end\nevent: end\ndata: {"seq": 7}\n\n'
            return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})
        if "application/json" not in content or request.url.params.get("format") or _wants_bytes(request):
            if "text/plain" in content:
                headers["content-type"] = "text/plain"
            return httpx.Response(status, content=b"" if status == 204 else _BYTES, headers=headers)
        return httpx.Response(status, json=example(content["application/json"]["schema"], whole=self.whole))


def operations() -> set[tuple[str, str]]:
    paths = DOCUMENT["paths"].items()
    return {(method.upper(), path) for path, methods in paths for method in methods if method in _METHODS}


def example(schema: Mapping[str, Any], *, whole: bool) -> Any:
    """A value that is valid by the schema: of each list one item, of each choice the first that is not null."""
    if "$ref" in schema:
        return example(SCHEMAS[schema["$ref"].rpartition("/")[2]], whole=whole)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], whole=whole) if whole else None
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type", "object") == "object":
        return dict(_fields(schema, whole=whole))
    if schema.get("type") == "array":
        return [example(schema["items"], whole=whole)] if "items" in schema else []
    if schema.get("format") == "date-time":
        return "2026-11-30T12:00:00Z"
    return {"string": "text", "integer": 3, "number": 0.5, "boolean": True, "null": None}[schema["type"]]


def _fields(schema: Mapping[str, Any], *, whole: bool) -> Iterator[tuple[str, Any]]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        if name == "next_cursor":
            yield name, None
        elif whole or name in required:
            yield name, example(each, whole=whole)
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield "key", example(more, whole=whole)


def _operation_of(request: httpx.Request) -> tuple[str, dict[str, Any]]:
    """The most literal of the paths that match: `/exports/plot` before `/exports/{export_id}`."""
    given = request.url.raw_path.decode().partition("?")[0]
    found = [
        (path, methods[request.method.lower()])
        for path, methods in DOCUMENT["paths"].items()
        if request.method.lower() in methods and re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), given)
    ]
    assert found, f"{request.method} {unquote(given)} is not in the document"
    return min(found, key=lambda each: each[0].count("{"))


def _check_query(request: httpx.Request, operation: Mapping[str, Any]) -> None:
    parameters = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    unknown = set(request.url.params) - set(parameters)
    assert not unknown, f"{request.method} {request.url}: {unknown}"
    missing = {name for name, each in parameters.items() if each.get("required")} - set(request.url.params)
    assert not missing, f"{request.method} {request.url}: {missing}"


def _check_key(request: httpx.Request, operation: Mapping[str, Any]) -> None:
    takes = any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))
    assert ("idempotency-key" in request.headers) == takes, f"{request.method} {request.url}: Idempotency-Key"


def _check_body(request: httpx.Request, operation: Mapping[str, Any]) -> None:
    kind = request.headers.get("content-type", "")
    content = operation.get("requestBody", {}).get("content", {})
    if kind != "application/json":
        assert not request.content or kind in content or not kind, f"{request.method} {request.url}: {kind}"
        return
    schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(json.loads(request.content), schema)


def _wants_bytes(request: httpx.Request) -> bool:
    return request.url.params.get("annotated") == "true"
