"""What the client raises, all of it a DarkroomError.

DarkroomError
├── ServiceUnreachable     no answer: nothing listens, the connection broke, or it took too long
├── UnexpectedAnswer       an answer that is none of Darkroom's, such as a proxy's page
├── NotAuthenticated       401: the token is missing or another
├── NotFound               404: no such project, dataset, run, version, ...
├── Deleted                410: it existed
├── RequestInvalid         400, 413, 415, 416, 422: what was sent; `errors` names the fields
├── Conflict               409: not in this state
├── TooManyRequests        429: the queue is full
├── ServiceUnavailable     502, 503, 504, 507: again later
├── ArchiveRefused         the preflight of an upload: `preflight` has the findings; nothing was sent
├── WorkFailed             what was waited for ended as rejected, failed or cancelled; `result` is what it is now
├── WaitTimeout            what was waited for goes on
├── ChecksumMismatch       bytes that arrived are others than those sent
└── LocalFileError         a local file that changed, or a prediction without an image
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.schemas.datasets import Preflight

MAX_REPORTED = 5  # findings in the text of an error
_STANDARD = frozenset({"type", "slug", "title", "detail", "status", "instance", "request_id"})


@dataclass(frozen=True)
class FieldError:
    """A field of the request and what is wrong with it."""

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """A problem as the service describes it. `facts` are its own fields, such as `state` or `needed_bytes`."""

    slug: str
    title: str = ""
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.title.rstrip('.')}. {self.detail}".strip() if self.title else self.detail

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Problem:
        facts = {name: value for name, value in body.items() if name not in _STANDARD}
        return cls(str(body.get("slug", "")), str(body.get("title", "")), str(body.get("detail", "")), facts)


class DarkroomError(Exception):
    """`slug` names the kind of problem and has a page: GET /problems/{slug}. `status` is 0 where nothing answered."""

    def __init__(
        self,
        detail: str,
        *,
        slug: str = "",
        title: str = "",
        status: int = 0,
        facts: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> None:
        self.detail, self.slug, self.title, self.status = detail, slug, title, status
        self.facts: Mapping[str, Any] = facts or {}
        self.request_id = request_id
        super().__init__(self._text())

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """The fields of the request that are not valid."""
        return tuple(FieldError(str(each["field"]), str(each["message"])) for each in self.facts.get("errors") or ())

    def _text(self) -> str:
        text = Problem(self.slug, self.title, self.detail).text
        return "\n".join([text, *(f"{e.field}: {e.message}" for e in self.errors if e.message not in self.detail)])


class ServiceUnreachable(DarkroomError):
    pass


class UnexpectedAnswer(DarkroomError):
    pass


class NotAuthenticated(DarkroomError):
    pass


class NotFound(DarkroomError):
    pass


class Deleted(DarkroomError):
    pass


class RequestInvalid(DarkroomError):
    pass


class Conflict(DarkroomError):
    pass


class TooManyRequests(DarkroomError):
    pass


class ServiceUnavailable(DarkroomError):
    pass


class WaitTimeout(DarkroomError):
    pass


class ChecksumMismatch(DarkroomError):
    pass


class LocalFileError(DarkroomError):
    pass


class ArchiveRefused(DarkroomError):
    def __init__(self, preflight: Preflight) -> None:
        self.preflight = preflight
        findings = preflight.findings[:MAX_REPORTED]
        reported = [f"{each.path}: {each.detail} {each.remedy}".strip(": ") for each in findings]
        detail = "The service would refuse this archive; nothing was sent."
        super().__init__("\n".join([detail, *reported]), slug="archive-refused")


class WorkFailed(DarkroomError):
    """`result` is the dataset, run or operation; `state` is `rejected`, `failed`, `cancelled` or `deleted`."""

    def __init__(self, result: object, *, state: str, name: str, problem: Problem | None) -> None:
        self.result, self.state, self.problem = result, state, problem
        found = problem or Problem("")
        detail = f"{name} is {state}." + (f" {found.text}" if problem else "")
        super().__init__(detail, slug=found.slug, facts=found.facts)


_BY_STATUS: Mapping[int, type[DarkroomError]] = {
    **{401: NotAuthenticated, 404: NotFound, 409: Conflict, 410: Deleted, 429: TooManyRequests},
    **dict.fromkeys((400, 413, 415, 416, 422), RequestInvalid),
    **dict.fromkeys((502, 503, 504, 507), ServiceUnavailable),
}


def error_of(status: int, body: Mapping[str, Any]) -> DarkroomError:
    """The error of a problem that the service answered."""
    problem = Problem.of(body)
    return _BY_STATUS.get(status, DarkroomError)(
        problem.detail,
        slug=problem.slug,
        title=problem.title,
        status=status,
        facts=problem.facts,
        request_id=str(body.get("request_id", "")),
    )
