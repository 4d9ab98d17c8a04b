"""Answering reads: rows to JSON in one of a few threads.

With a thread for each of 16 requests at once, the threads take the interpreter from each other at every row that SQLite
returns: a page of versions then cost twice the processor time of one alone.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from core.db import Database

# SQLite never waits, PostgreSQL does: then others compute.
READERS = {"sqlite": 1, "postgresql": 4}


class Reads:
    """For one event loop."""

    def __init__(self, db: Database) -> None:
        self._limiter = CapacityLimiter(READERS[db.engine.dialect.name])

    async def answer(
        self,
        make: Callable[[], BaseModel | bytes],
        *,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """What `make`, which reads the database, returns: bytes as they are, a model as JSON. Raises what it raises."""
        content = await run_sync(lambda: _json(make()), limiter=self._limiter)
        return Response(content, headers=headers, media_type=media_type)


def _json(answer: BaseModel | bytes) -> str | bytes:
    return answer.model_dump_json() if isinstance(answer, BaseModel) else answer


async def reads_of(request: Request) -> Reads:
    return cast(Reads, request.app.state.reads)


CurrentReads = Annotated[Reads, Depends(reads_of)]
