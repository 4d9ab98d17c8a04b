"""Idempotency-Key: a POST with a key is done once, and its answer is given again for 24 hours."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from api.dependencies import ThePlatform
from core.db import Database
from core.domain.errors import DarkroomError, RequestInvalid
from core.services.idempotency import (
    Answer,
    Key,
    KeyClaim,
    claim_key,
    digest_of,
    free_key,
    keep_answer,
    refuse_other_request,
    renew_key,
)
from core.services.on_commit import OnCommit, do_nothing

Row = TypeVar("Row")

RENEW_SECONDS = 20.0
_SANE_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class Once:
    """One request. Without a key its methods do what they are asked and nothing else."""

    def __init__(self, db: Database, key: Key | None) -> None:
        self._db = db
        self._key = key
        self._claim: KeyClaim | None = None
        self._earlier: Answer | None = None

    def answer(
        self,
        work: Callable[[OnCommit], Row],
        show: Callable[[Row], BaseModel],
        *,
        request: Any = None,
        status: int = 202,
    ) -> JSONResponse:
        """Do `work` once and answer what `show` makes of its row. `request` is what tells two requests apart.

        Raises RequestInFlight, IdempotencyKeyReused and whatever `work` raises; then the key is free again.
        """
        self.claim()
        try:
            return self.finish(work, show, request=request, status=status)
        except BaseException:
            self.free()
            raise

    def claim(self) -> None:
        """Raises RequestInFlight."""
        if self._key is not None:
            claimed = claim_key(self._db, self._key)
            self._claim = claimed if isinstance(claimed, KeyClaim) else None
            self._earlier = claimed if isinstance(claimed, Answer) else None

    def earlier(self, request: Any) -> JSONResponse | None:
        """The answer that was given to this key. Raises IdempotencyKeyReused when that was to another request."""
        if self._earlier is None or self._key is None:
            return None
        refuse_other_request(self._earlier, self._key, digest_of(request))
        return JSONResponse(
            self._earlier.body, status_code=self._earlier.status, headers={"idempotency-replayed": "true"}
        )

    def finish(
        self, work: Callable[[OnCommit], Row], show: Callable[[Row], BaseModel], *, request: Any, status: int
    ) -> JSONResponse:
        if (replayed := self.earlier(request)) is not None:
            return replayed
        row = work(self._keeping(show, digest_of(request), status))
        return JSONResponse(show(row).model_dump(mode="json"), status_code=status)

    def free(self) -> None:
        if self._claim is not None:
            with suppress(DarkroomError):  # the claim runs out by itself; the first error is the one to tell
                free_key(self._db, self._claim)

    def _keeping(self, show: Callable[[Row], BaseModel], digest: str, status: int) -> OnCommit:
        """The answer is committed with the very change that it answers: a crash leaves both or neither."""
        claim = self._claim
        if claim is None:
            return do_nothing

        def keep(session: Session, row: Row) -> None:
            keep_answer(session, claim, Answer(digest, status, show(row).model_dump(mode="json")))

        return keep

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        """Hold the key through a long upload, and free it when nothing came of it. Raises RequestInFlight."""
        await run_in_threadpool(self.claim)
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        except BaseException:
            await asyncio.shield(run_in_threadpool(self.free))
            raise
        finally:
            renewing.cancel()

    async def _renew(self) -> None:
        while self._claim is not None:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(DarkroomError):  # the database is away for a moment: the next one may do
                await run_in_threadpool(renew_key, self._db, self._claim)


def once_of(
    request: Request,
    platform: ThePlatform,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Chosen by the client; the same request sent again with it is answered, not done again.",
        ),
    ] = None,
) -> Once:
    if idempotency_key is None:
        return Once(platform.db, None)
    if not _SANE_KEY.fullmatch(idempotency_key):
        problem = {"field": "Idempotency-Key", "message": "1 to 200 printable ASCII characters without spaces"}
        raise RequestInvalid("Not valid: Idempotency-Key.", errors=[problem])
    # 200: the column's width. A path that long names nothing, and its request fails whatever the key.
    return Once(platform.db, Key(request.method, request.url.path[:200], idempotency_key))


TheOnce = Annotated[Once, Depends(once_of)]
