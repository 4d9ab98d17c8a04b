"""Errors as RFC 9457 problems: a family of errors has a status; an error has a slug, a detail and facts."""

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core.domain import errors
from core.domain.errors import DarkroomError
from core.domain.field_errors import not_valid, reason_of, unknown_name
from http_common.renamed import location_of_renamed

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"
_MOST_FIELDS = 50  # that a problem names: a body of megabytes may have a hundred thousand faults

# Both are looked up along an error's ancestors, nearest first.
STATUS: Mapping[type[Any], int] = {
    errors.ProjectRenamed: 308,
    errors.RequestInvalid: 400,
    errors.Unauthorized: 401,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TusVersionUnsupported: 412,
    errors.LimitExceeded: 413,
    errors.UrlTooLong: 414,
    errors.MediaTypeUnsupported: 415,
    errors.RangeInvalid: 416,
    errors.Unprocessable: 422,
    errors.UploadLocked: 423,
    errors.QueueFull: 429,
    errors.HeadTooLarge: 431,
    errors.ChecksumMismatch: 460,  # defined by the tus protocol
    errors.Unavailable: 503,
    errors.OutOfSpace: 507,
    DarkroomError: 500,
}

_HEADERS: Mapping[type[Any], Mapping[str, str]] = {
    errors.Unauthorized: {"www-authenticate": 'Bearer realm="darkroom"'},
    errors.RequestTimeout: {"connection": "close"},
    errors.RequestInFlight: {"retry-after": RETRY_SECONDS},
    errors.ImageIndexMissing: {"retry-after": RETRY_SECONDS},
    errors.UploadLocked: {"retry-after": RETRY_SECONDS},
    errors.TusVersionUnsupported: {"tus-version": "1.0.0"},
    errors.QueueFull: {"retry-after": "1"},
    errors.ModelLoading: {"retry-after": "1"},
    errors.Unavailable: {"retry-after": RETRY_SECONDS},
}

# The application's `state.problem_page`: of a request, its problem and headers, the page; None for JSON.
ProblemPage = Callable[[Request, Mapping[str, Any], Mapping[str, str]], Response | None]

log = structlog.get_logger(__name__)


def status_of(error: type[DarkroomError]) -> int:
    return next(STATUS[ancestor] for ancestor in error.__mro__ if ancestor in STATUS)


def problem_of(error: DarkroomError, *, path: str, request_id: str) -> dict[str, Any]:
    own = {"status": status_of(type(error)), "instance": path, "request_id": request_id}
    return error.as_problem() | own


def problem_response(error: DarkroomError, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    body = problem_of(error, path=request.url.path, request_id=getattr(request.state, "request_id", ""))
    own = next((_HEADERS[ancestor] for ancestor in type(error).__mro__ if ancestor in _HEADERS), {})
    more = dict(own) | dict(headers or {})
    if isinstance(error, errors.RangeInvalid) and "bytes" in error.facts:
        more["content-range"] = f"bytes */{error.facts['bytes']}"
    if isinstance(error, errors.ProjectRenamed):
        more |= _redirect(request, **error.facts)
    if page := _page(request, body, more):
        return page
    # ASCII, because a lone surrogate, which a JSON body can contain, cannot be encoded as UTF-8.
    return Response(json.dumps(body), status_code=int(body["status"]), headers=more, media_type=MEDIA_TYPE)


def _page(request: Request, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response | None:
    """The problem as a page for people, where the application has such a page for this request."""
    app = request.scope.get("app")
    make: ProblemPage | None = getattr(app.state, "problem_page", None) if app else None
    return make(request, body, headers) if make else None


def _redirect(request: Request, *, project: str, old: str) -> dict[str, str]:
    """Not to be kept: the project may be called by its old name again."""
    location = location_of_renamed(request, old, project)
    return {"cache-control": "no-store"} | ({"location": location} if location else {})


def install(app: FastAPI) -> None:
    app.add_exception_handler(DarkroomError, _darkroom_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


def _darkroom_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DarkroomError)  # noqa: S101 - for the type checker: it is registered for this class
    return failure_response(error, request)


def failure_response(error: DarkroomError, request: Request) -> Response:
    """The problem that the error is, and a line in the log where the service is at fault."""
    if status_of(type(error)) >= 500:
        log.warning("request.failed", slug=error.slug, detail=error.detail, cause=repr(error.__cause__))
    return problem_response(error, request)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    known = _body_fields(request.scope["route"])
    return problem_response(
        invalid_fields([_field_error(each, known) for each in error.errors()[:_MOST_FIELDS]]), request
    )


def invalid_fields(fields: list[dict[str, str]]) -> errors.RequestInvalid:
    """The problem of a request with invalid fields, [{field, message}]."""
    return errors.RequestInvalid(not_valid(fields), errors=fields)


def invalid_body(error: ValidationError, model: type[BaseModel]) -> errors.RequestInvalid:
    """The problem of a JSON body, read by the route itself, that is no `model`."""
    found = error.errors(include_url=False, include_input=False)[:_MOST_FIELDS]
    known = list(model.model_fields)
    return invalid_fields([_field_error({**each, "loc": ("body", *each["loc"])}, known) for each in found])


def _body_fields(route: APIRoute) -> list[str]:
    """Names of the fields of its JSON body; empty for a route without one."""
    given = route.body_field.field_info.annotation if route.body_field else None
    models = [each for each in (given, *get_args(given)) if isinstance(each, type) and issubclass(each, BaseModel)]
    return [name for model in models for name in model.model_fields]


def _field_error(each: Mapping[str, Any], known: list[str]) -> dict[str, str]:
    """`known`: names of the fields of the body."""
    part, *path = each["loc"]  # ("body", "params", "epochs")
    field, message = ".".join(str(name) for name in path) or str(part), reason_of(each["msg"])
    if each["type"] == "json_invalid":
        return {"field": "body", "message": f"not JSON: {each.get('ctx', {}).get('error', message)}"}
    if field == "body" and isinstance(each.get("input"), bytes):  # not parsed, because of its content type
        return {"field": field, "message": "Send JSON with `Content-Type: application/json`."}
    if each["type"] == "extra_forbidden" and len(path) == 1:
        return {"field": field[:80], "message": unknown_name("field", field, known)}
    return {"field": field, "message": message}


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if isinstance(error.__cause__, DarkroomError):  # FastAPI wraps the error raised while a body is read
        return problem_response(error.__cause__, request)
    path = request.url.path
    if error.status_code == 404:
        return problem_response(
            errors.RouteNotFound(f"There is no path {path[:200]}.", links={"docs": "/docs"}), request
        )
    if error.status_code == 405:
        allow = request.app.state.path_methods.allow(path)  # the router names the methods of one route only
        problem = errors.MethodNotAllowed(f"{path[:200]} does not accept {request.method}.")
        return problem_response(problem, request, {"allow": allow})
    if error.status_code < 500:
        return problem_response(errors.RequestInvalid(str(error.detail)), request)
    return problem_response(errors.Internal(), request)
