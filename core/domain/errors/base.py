"""The base of every error, and the families that the API maps to a status."""

from collections.abc import Iterator
from typing import Any, ClassVar


class DarkroomError(Exception):
    """Base of every known failure. `detail` is a sentence for people, `facts` are JSON values for programs."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "An unexpected error occurred"

    def __init__(self, detail: str = "", **facts: Any) -> None:
        self.detail = detail or self.title
        self.facts = facts
        super().__init__(self.detail)

    def as_problem(self) -> dict[str, Any]:
        """The RFC 9457 members that a job, a run and an HTTP answer share."""
        return {
            "type": f"/problems/{self.slug}",
            "slug": self.slug,
            "title": self.title,
            "detail": self.detail,
            **self.facts,
        }


class RequestInvalid(DarkroomError):
    slug = "request-invalid"
    title = "The request is not valid"


class NotFound(DarkroomError):
    slug = "not-found"
    title = "Not found"


class Gone(DarkroomError):
    slug = "gone"
    title = "This was deleted"


class Conflict(DarkroomError):
    slug = "conflict"
    title = "The current state does not allow this"


class LimitExceeded(DarkroomError):
    slug = "limit-exceeded"
    title = "A limit is exceeded"


class Unprocessable(DarkroomError):
    slug = "unprocessable"
    title = "The request was understood and is refused"


class Internal(DarkroomError):
    slug = "internal"
    title = "An unexpected error occurred"


def all_errors() -> list[type[DarkroomError]]:
    """Every error class, parents before children."""

    def walk(cls: type[DarkroomError]) -> Iterator[type[DarkroomError]]:
        yield cls
        for child in cls.__subclasses__():
            yield from walk(child)

    return [cls for cls in walk(DarkroomError) if cls is not DarkroomError]


def error_from_slug(slug: str, detail: str, **facts: Any) -> DarkroomError:
    """Rebuild an error that crossed a process boundary; an unknown slug becomes `Internal`."""
    known = {cls.slug: cls for cls in all_errors()}
    return known.get(slug, Internal)(detail, **facts)
