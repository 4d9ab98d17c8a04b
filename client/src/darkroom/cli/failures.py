"""How an error is printed, and which exit code it has."""

import difflib
import json
import sys
import traceback
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer

from darkroom.cli.exits import ExitCode
from darkroom.cli.text import safe
from darkroom.errors import DarkroomError, NotAuthenticated, NotFound, ServiceUnreachable

if TYPE_CHECKING:
    from darkroom.cli.session import Session

# In commands rather than in requests, which the pages of the service name.
REMEDIES = {
    "unauthorized": "Run `darkroom login`, or set DARKROOM_API_TOKEN.",
    "project-not-found": "`darkroom projects` lists them.",
    "job-not-found": "`darkroom jobs` lists them.",
    "run-not-found": "`darkroom runs` lists them.",
    "version-not-found": "`darkroom models PROJECT` lists the versions.",
    "alias-not-found": "`darkroom models PROJECT` lists the versions with their aliases; `darkroom alias` sets one.",
    "job-not-ready": "`darkroom jobs` lists states; `darkroom findings JOB` what is wrong with a rejected one.",
    "dataset-rejected": "`darkroom findings JOB` lists what to change; upload it again afterwards.",
    "serving-unavailable": "Start it with `make up` or `python -m serving`; `darkroom doctor` checks it.",
    "no-earlier-version": "`darkroom alias PROJECT@ALIAS` prints its history; `darkroom alias VERSION ALIAS` sets it.",
    "request-invalid": "--help lists what the command takes.",
    "queue-full": "Repeat the command in a few seconds.",
}
UNREACHABLE = (
    "Start the service with `make up`, or name another one: `darkroom login URL`, DARKROOM_URL or --url. "
    "`darkroom doctor` says more."
)
PAGE_SECONDS = 2.0
HEADING = "## What to do"


class CommandFailed(Exception):
    """A failure of the command itself: what is wrong, and what to do."""

    def __init__(self, message: str, remedy: str = "", *, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message, self.remedy, self.code = message, remedy, code


class WrongUsage(CommandFailed):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy, code=ExitCode.USAGE)


def report(session: "Session", error: BaseException) -> ExitCode:
    """Prints the error on stderr: for people, with --json as JSON."""
    code = _code(error)
    if session.debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    if code is ExitCode.INTERRUPTED:
        return code
    document = _document(session, error)
    if session.out.as_json:
        sys.stderr.write(json.dumps(document | {"exit_code": int(code)}, default=str) + "\n")
    else:
        _print(session, document)
    return code


def _code(error: BaseException) -> ExitCode:
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, CommandFailed):
        return error.code
    if isinstance(error, ServiceUnreachable):
        return ExitCode.UNREACHABLE
    return ExitCode.UNAUTHORIZED if isinstance(error, NotAuthenticated) else ExitCode.FAILED


def _document(session: "Session", error: BaseException) -> dict[str, Any]:
    if isinstance(error, CommandFailed):
        return {"title": "", "detail": error.message, "remedy": error.remedy}
    if isinstance(error, ServiceUnreachable):
        return {"title": "The service does not answer", "detail": error.detail, "remedy": UNREACHABLE}
    if isinstance(error, DarkroomError):
        return {
            "slug": error.slug,
            "title": error.title,
            "detail": error.detail,
            "errors": [{"field": each.field, "message": each.message} for each in error.errors],
            "remedy": _remedy(session, error),
            "request_id": error.request_id,
        }
    if isinstance(error, OSError) and error.filename is not None:
        return {"title": "", "detail": f"{error.filename}: {error.strerror}", "remedy": ""}
    detail = f"{type(error).__name__}: {error}"
    return {"title": "Unexpected error", "detail": detail, "remedy": "--debug prints where it comes from."}


def _remedy(session: "Session", error: DarkroomError) -> str:
    remedy = REMEDIES.get(error.slug) or (_page_remedy(session, error.slug) if error.slug else "")
    if isinstance(error, NotFound) and (meant := _meant(session, error)):
        return f"Did you mean {meant}? {remedy}".rstrip()
    return remedy


def _page_remedy(session: "Session", slug: str) -> str:
    """The section of the problem's page that says what to do; empty where the service does not answer at once."""
    try:
        text = session.client.explain(slug).text
    except DarkroomError:
        return ""
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    return " ".join(section.split())


def _meant(session: "Session", error: DarkroomError) -> str:
    """A project whose name is similar to the one that was not found."""
    if error.slug != "project-not-found":
        return ""
    wanted = str(error.facts.get("project") or error.facts.get("ref") or "")
    try:
        names = [each.project for each in islice(session.client.projects.list(), 200)]
    except DarkroomError:
        return ""
    return next(iter(difflib.get_close_matches(wanted, names, n=1)), "")


def _print(session: "Session", document: dict[str, Any]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = session.out.stderr
    title, detail = safe(document["title"]), safe(document["detail"])
    head = Text.assemble(("Error ", "bold red"), (title or detail, "bold" if title else ""))
    if slug := document.get("slug"):
        head.append(f"  {safe(slug)}", style="dim")
    console.print(head)
    lines = [Text(detail)] if title and detail else []
    lines += [Text(safe(f"{each['field']}: {each['message']}")) for each in _unsaid(document)]
    if document["remedy"]:
        lines.append(Text.assemble(("What to do: ", "green"), safe(document["remedy"])))
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 6), expand=False))


def _unsaid(document: dict[str, Any]) -> list[dict[str, str]]:
    return [each for each in document.get("errors", ()) if each["message"] not in document["detail"]]
