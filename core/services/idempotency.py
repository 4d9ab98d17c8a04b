"""Idempotency keys: one row for each (method, path, key), claimed before the request's body is read.

in flight -> answered, in the transaction of the very change that it answers (on_commit.py): a crash leaves
either both or neither. The claim of a process that died runs out, and the next request with the key takes it over.
"""

import json
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import IdempotencyRow
from core.domain.errors import IdempotencyKeyReused, RequestInFlight

CLAIM_SECONDS = 90.0  # renewed every 20 s while an upload runs: four missed and the process is dead
KEEP_SECONDS = 24 * 3600.0  # an answer is replayed this long


@dataclass(frozen=True, slots=True)
class Key:
    method: str
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The right to answer a key's request. `token` tells it from the claim of one that took over."""

    key: Key
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. `digest` is that of the request it answered."""

    digest: str
    status: int
    body: dict[str, Any]


def digest_of(request: Any) -> str:
    """The sha256 of a request's meaning as canonical JSON: the order of its fields does not count."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def claim_key(db: Database, key: Key) -> KeyClaim | Answer:
    """Claim a key, or find what was answered. Raises RequestInFlight while another request holds it."""
    claim = KeyClaim(key, secrets.token_hex(16))
    with db.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_is(key), IdempotencyRow.expires_at < db_now()))
        if _insert_if_absent(session, claim):
            return claim
        row = session.execute(select(IdempotencyRow).where(*_is(key))).scalar_one_or_none()
    if row is None or row.status is None or row.digest is None:
        raise RequestInFlight(f"The key {key.key!r} is being answered; ask again in some seconds.", key=key.key)
    return Answer(row.digest, row.status, row.answer or {})


def renew_key(db: Database, claim: KeyClaim) -> bool:
    """Hold a claim on. False: it ran out and somebody else has it."""
    statement = update(IdempotencyRow).where(*_is_claimed(claim)).values(expires_at=db_now() + CLAIM_SECONDS)
    with db.transaction() as session:
        return session.execute(statement.returning(IdempotencyRow.key)).first() is not None


def keep_answer(session: Session, claim: KeyClaim, answer: Answer) -> None:
    """Answer a key within the transaction of what it answers. Raises RequestInFlight when the claim was lost."""
    statement = (
        update(IdempotencyRow)
        .where(*_is_claimed(claim))
        .values(digest=answer.digest, status=answer.status, answer=answer.body, expires_at=db_now() + KEEP_SECONDS)
        .returning(IdempotencyRow.key)
    )
    if session.execute(statement).first() is None:
        raise RequestInFlight(f"The key {claim.key.key!r} was taken over by another request.", key=claim.key.key)


def free_key(db: Database, claim: KeyClaim) -> None:
    """Nothing was done for this key: the next request may try. An answered key stays."""
    with db.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_is_claimed(claim)))


def forget_expired_keys(db: Database) -> int:
    """For housekeeping. Returns how many were forgotten."""
    with db.transaction() as session:
        statement = delete(IdempotencyRow).where(IdempotencyRow.expires_at < db_now()).returning(IdempotencyRow.key)
        return len(session.execute(statement).all())


def refuse_other_request(answer: Answer, key: Key, digest: str) -> None:
    """Raises IdempotencyKeyReused when `answer` answered a request that differs from this one."""
    if answer.digest != digest:
        raise IdempotencyKeyReused(f"The key {key.key!r} was used with another request.", key=key.key)


def _insert_if_absent(session: Session, claim: KeyClaim) -> bool:
    key = claim.key
    values = {
        "method": key.method,
        "path": key.path,
        "key": key.key,
        "digest": claim.token,  # until the answer is there; then the request's
        "expires_at": db_now() + CLAIM_SECONDS,
    }
    return insert_if_absent(session, IdempotencyRow, values)


def _is(key: Key) -> tuple[ColumnElement[bool], ...]:
    return (IdempotencyRow.method == key.method, IdempotencyRow.path == key.path, IdempotencyRow.key == key.key)


def _is_claimed(claim: KeyClaim) -> tuple[ColumnElement[bool], ...]:
    return (*_is(claim.key), IdempotencyRow.status.is_(None), IdempotencyRow.digest == claim.token)
