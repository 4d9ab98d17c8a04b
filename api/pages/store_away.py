"""What a page says in place of what only the object store has, while that does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from core.domain.errors import OutOfSpace, Unavailable
from http_common.problems import problem_of


@dataclass(slots=True)
class StoreNote:
    """`problem`: RFC 9457's, for the macro `away`; None where nothing was in the way."""

    problem: dict[str, Any] | None = None


@contextmanager
def noting_the_store(request: Request) -> Iterator[StoreNote]:
    """What raises inside because of the store, or of the room for a copy of its object, is noted rather than raised."""
    note = StoreNote()
    try:
        yield note
    except (Unavailable, OutOfSpace) as error:
        note.problem = problem_of(error, path=request.url.path, request_id=request.state.request_id)
