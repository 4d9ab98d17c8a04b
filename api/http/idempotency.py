"""Idempotency-Key: a POST with a key is done once, and its answer is replayed for 24 hours.

with idempotency.claimed():
    if replayed := idempotency.replay(body):
        return replayed
    row = use_case(..., on_commit=idempotency.keep(shape, body))
return shape(row)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from api.dependencies import CurrentPlatform
from core.db import Database
from core.domain.errors import DarkroomError
from core.services.idempotency import (
    IdempotencyKey,
    KeyClaim,
    StoredAnswer,
    claim_key,
    digest_of,
    keep_answer,
    refuse_other_request,
    release_key,
    renew_key,
)
from core.services.on_commit import OnCommit, do_nothing

Row = TypeVar("Row")

RENEW_SECONDS = 20.0
VALID_KEY = "^[!-~]+$"  # printable ASCII without spaces


class IdempotentRequest:
    """A POST and its key. Without a key nothing is claimed, replayed or kept.

    `status` is the HTTP status of the route's answer.
    """

    def __init__(self, db: Database, key: IdempotencyKey | None, *, status: int) -> None:
        self._db = db
        self._key = key
        self._status = status
        self._claim: KeyClaim | None = None
        self._earlier: StoredAnswer | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the claimed key was answered before: what the request is about may have changed since."""
        return self._earlier is not None

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Claim the key for the block; a block that raises releases it. Raises RequestInFlight."""
        self._claim_key()
        try:
            yield
        except BaseException:
            self._release_key()
            raise

    @asynccontextmanager
    async def claimed_for_long(self) -> AsyncIterator[None]:
        """The same around awaits: the claim is renewed while an upload is received. Raises RequestInFlight."""
        await run_in_threadpool(self._claim_key)
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        except BaseException:
            await asyncio.shield(run_in_threadpool(self._release_key))
            raise
        finally:
            renewing.cancel()

    def replay(self, request: Any = None) -> JSONResponse | None:
        """The answer that the key was given before; None for a key that is new.

        `request` holds, as JSON values, what makes two requests the same. Raises IdempotencyKeyReused when the answer
        belongs to another one.
        """
        if self._earlier is None or self._key is None:
            return None
        refuse_other_request(self._earlier, self._key, digest_of(request))
        return JSONResponse(
            self._earlier.body, status_code=self._earlier.status, headers={"idempotency-replayed": "true"}
        )

    def keep(
        self,
        shape: Callable[[Row], BaseModel],
        request: Any = None,
        *,
        status_of: Callable[[Row], int] | None = None,
    ) -> OnCommit:
        """Commits the answer `shape(row)` in the transaction of the change that it answers: a crash leaves both or
        neither. `request` as for `replay`; `status_of` where the status is not always that of the route."""
        claim = self._claim
        if claim is None:
            return do_nothing

        def keep_shaped(session: Session, row: Row) -> None:
            body = shape(row).model_dump(mode="json")
            status = status_of(row) if status_of else self._status
            keep_answer(session, claim, StoredAnswer(digest_of(request), status, body))

        return keep_shaped

    def _claim_key(self) -> None:
        if self._key is None:
            return
        claimed = claim_key(self._db, self._key)
        if isinstance(claimed, KeyClaim):
            self._claim = claimed
        else:
            self._earlier = claimed

    def _release_key(self) -> None:
        if self._claim is not None:
            with suppress(DarkroomError):  # the claim expires by itself; the first error is the one to report
                release_key(self._db, self._claim)

    async def _renew(self) -> None:
        while self._claim is not None:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(DarkroomError):  # the database may be back at the next renewal
                await run_in_threadpool(renew_key, self._db, self._claim)


async def idempotent_request(
    request: Request,
    platform: CurrentPlatform,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=200,
            pattern=VALID_KEY,
            description="Chosen by the client. The same request sent again with the same key is not done again: "
            "it gets the first answer.",
        ),
    ] = None,
) -> IdempotentRequest:
    status = request.scope["route"].status_code or 200
    if idempotency_key is None:
        return IdempotentRequest(platform.db, None, status=status)
    # 200: the column's width. A longer path names nothing, and its request fails with any key.
    key = IdempotencyKey(request.method, request.url.path[:200], idempotency_key)
    return IdempotentRequest(platform.db, key, status=status)


Idempotency = Annotated[IdempotentRequest, Depends(idempotent_request)]
