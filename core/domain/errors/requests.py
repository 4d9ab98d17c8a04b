"""What is wrong with a request before it is about anything in particular."""

from core.domain.errors.base import Conflict, DarkroomError, NotFound, RequestInvalid, Unprocessable


class CursorInvalid(RequestInvalid):
    slug = "cursor-invalid"
    title = "The cursor does not belong to this list"


class Unauthorized(DarkroomError):
    slug = "unauthorized"
    title = "A valid API token is needed"


class SessionNotFound(NotFound):
    slug = "session-not-found"
    title = "There is no session with this id"


class RouteNotFound(NotFound):
    slug = "route-not-found"
    title = "There is no such path"


class MethodNotAllowed(DarkroomError):
    slug = "method-not-allowed"
    title = "This path does not take this method"


class RequestTimeout(DarkroomError):
    slug = "request-timeout"
    title = "The request stopped arriving"


class RequestInFlight(Conflict):
    slug = "request-in-flight"
    title = "A request with this Idempotency-Key is being answered"


class UrlTooLong(DarkroomError):
    slug = "url-too-long"
    title = "The URL is too long"


class RangeInvalid(DarkroomError):
    slug = "range-invalid"
    title = "The requested range lies outside the file"


class IdempotencyKeyReused(Unprocessable):
    slug = "idempotency-key-reused"
    title = "This Idempotency-Key was used with another request"


class HeadTooLarge(DarkroomError):
    slug = "head-too-large"
    title = "The headers of the request are too large"
