"""Idempotency keys: one row for each (method, path, key), claimed before the request's body is read.

in flight -> answered, in the transaction of the change that the answer reports (on_commit.py): a crash leaves
both or neither. The claim of a process that died expires, and the next request with the key takes it over.
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

CLAIM_SECONDS = 90.0  # renewed every 20 s while an upload is received: after four missed renewals the process is dead
KEEP_SECONDS = 24 * 3600.0  # how long an answer is replayed


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    method: str
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The right to answer the request of a key. `token` distinguishes it from the claim of a request that took over."""

    key: IdempotencyKey
    token: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer to replay. `digest` is that of the request it answered."""

    digest: str
    status: int
    body: dict[str, Any]


def digest_of(request: Any) -> str:
    """The sha256 of a request's JSON values in canonical form: the order of fields does not count."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def claim_key(db: Database, key: IdempotencyKey) -> KeyClaim | StoredAnswer:
    """Claim a key, or return its stored answer. Raises RequestInFlight while another request holds the claim."""
    claim = KeyClaim(key, secrets.token_hex(16))
    with db.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_has_key(key), IdempotencyRow.expires_at < db_now()))
        if _insert_if_absent(session, claim):
            return claim
        row = session.execute(select(IdempotencyRow).where(*_has_key(key))).scalar_one_or_none()
    if row is None or row.status is None or row.digest is None:
        raise RequestInFlight(
            f"A request with the key {key.key!r} is still being answered; try again in a few seconds.", key=key.key
        )
    return StoredAnswer(row.digest, row.status, row.answer or {})


def renew_key(db: Database, claim: KeyClaim) -> bool:
    """Extend a claim. False: it expired, and another request has the key."""
    statement = update(IdempotencyRow).where(*_is_claimed(claim)).values(expires_at=db_now() + CLAIM_SECONDS)
    with db.transaction() as session:
        return session.execute(statement.returning(IdempotencyRow.key)).first() is not None


def keep_answer(session: Session, claim: KeyClaim, answer: StoredAnswer) -> None:
    """Store the answer within the transaction of its change. Raises RequestInFlight when the claim was lost."""
    statement = (
        update(IdempotencyRow)
        .where(*_is_claimed(claim))
        .values(digest=answer.digest, status=answer.status, answer=answer.body, expires_at=db_now() + KEEP_SECONDS)
        .returning(IdempotencyRow.key)
    )
    if session.execute(statement).first() is None:
        raise RequestInFlight(f"Another request took over the key {claim.key.key!r}.", key=claim.key.key)


def release_key(db: Database, claim: KeyClaim) -> None:
    """Give up a claim, so that the next request can have the key. An answered key stays."""
    with db.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_is_claimed(claim)))


def delete_expired_keys(db: Database) -> int:
    """Returns the number of keys deleted."""
    with db.transaction() as session:
        statement = delete(IdempotencyRow).where(IdempotencyRow.expires_at < db_now()).returning(IdempotencyRow.key)
        return len(session.execute(statement).all())


def refuse_other_request(answer: StoredAnswer, key: IdempotencyKey, digest: str) -> None:
    """Raises IdempotencyKeyReused when `answer` belongs to a request that differs from this one."""
    if answer.digest != digest:
        raise IdempotencyKeyReused(f"The key {key.key!r} was used with another request: choose a new key.", key=key.key)


def _insert_if_absent(session: Session, claim: KeyClaim) -> bool:
    key = claim.key
    values = {
        "method": key.method,
        "path": key.path,
        "key": key.key,
        "digest": claim.token,  # the token until the key is answered, then the digest of the request
        "expires_at": db_now() + CLAIM_SECONDS,
    }
    return insert_if_absent(session, IdempotencyRow, values)


def _has_key(key: IdempotencyKey) -> tuple[ColumnElement[bool], ...]:
    return (IdempotencyRow.method == key.method, IdempotencyRow.path == key.path, IdempotencyRow.key == key.key)


def _is_claimed(claim: KeyClaim) -> tuple[ColumnElement[bool], ...]:
    return (*_has_key(claim.key), IdempotencyRow.status.is_(None), IdempotencyRow.digest == claim.token)
