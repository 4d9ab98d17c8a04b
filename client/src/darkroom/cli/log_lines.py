"""The lines of a run's log, all at once or as they come."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom.errors import NotFound
from darkroom.states import RUN_ENDED

if TYPE_CHECKING:
    from darkroom import Client

POLL_SECONDS = 2.0  # the service has the newest lines a few seconds after they were written
REMEMBERED = 20  # lines by which the end that was printed is found again


def read_log(client: "Client", run_id: str, *, tail: int | None, attempt: int | None) -> list[str]:
    return client.runs.log(run_id, tail=tail, attempt=attempt).splitlines()


def follow_log(client: "Client", run_id: str, *, tail: int | None) -> Iterator[str]:
    """What is there, then what comes, until the run has ended."""
    printed: list[str] = []
    while True:
        ended = client.runs.get(run_id).state in RUN_ENDED
        lines = _lines_so_far(client, run_id, tail=None if printed else tail, ended=ended)
        new = lines_after(printed, lines)
        yield from new
        printed = (printed + new)[-REMEMBERED:]
        if ended:
            return
        time.sleep(POLL_SECONDS)


def lines_after(printed: list[str], lines: list[str]) -> list[str]:
    """Of `lines`, those after the place where `printed` ends; all of them where it is not among them, as the log of
    another attempt."""
    count = len(printed)
    for end in range(len(lines), count - 1, -1):
        if count and lines[end - count : end] == printed:
            return lines[end:]
    return lines


def _lines_so_far(client: "Client", run_id: str, *, tail: int | None, ended: bool) -> list[str]:
    """Without the last line while it is still being written; none of a run that has not begun."""
    try:
        text = client.runs.log(run_id, tail=tail)
    except NotFound as error:
        if error.slug == "run-not-found":
            raise
        return []
    lines = text.splitlines()
    return lines if ended or text.endswith("\n") else lines[:-1]
