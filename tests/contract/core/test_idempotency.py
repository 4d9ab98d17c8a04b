"""Idempotency keys on each database: one claim wins, an answer commits with its change, a dead claim expires."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.domain.errors import IdempotencyKeyReused, RequestInFlight
from core.services import idempotency
from core.services.context import Platform
from core.services.idempotency import (
    IdempotencyKey,
    KeyClaim,
    StoredAnswer,
    claim_key,
    delete_expired_keys,
    digest_of,
    keep_answer,
    refuse_other_request,
    release_key,
    renew_key,
)

KEY = IdempotencyKey("POST", "/upload-dataset", "k")
ANSWER = StoredAnswer(digest_of({"a": 1}), 202, {"job_id": "job_1"})


def test_one_of_many_concurrent_requests_gets_the_claim(platform: Platform) -> None:
    def attempt(_number: int) -> bool:
        try:
            return isinstance(claim_key(platform.db, KEY), KeyClaim)
        except RequestInFlight:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_the_same_request_gets_the_answer_and_another_is_refused(platform: Platform) -> None:
    claim = claimed(platform)
    with platform.db.transaction() as session:
        keep_answer(session, claim, ANSWER)
    release_key(platform.db, claim)  # an answered key stays
    found = claim_key(platform.db, KEY)
    assert found == ANSWER and isinstance(found, StoredAnswer)
    refuse_other_request(found, KEY, digest_of({"a": 1}))
    with pytest.raises(IdempotencyKeyReused):
        refuse_other_request(found, KEY, digest_of({"a": 2}))
    other = claim_key(platform.db, IdempotencyKey("POST", "/other", "k"))
    assert isinstance(other, KeyClaim), "a key belongs to its path"


def test_the_claim_of_a_dead_process_expires_and_can_no_longer_be_answered(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "CLAIM_SECONDS", -1.0)
    dead = claimed(platform)
    monkeypatch.undo()
    successor = claimed(platform)
    assert renew_key(platform.db, successor) and not renew_key(platform.db, dead)
    with pytest.raises(RequestInFlight), platform.db.transaction() as session:
        keep_answer(session, dead, ANSWER)
    release_key(platform.db, dead)  # leaves the successor's claim
    with pytest.raises(RequestInFlight):
        claim_key(platform.db, KEY)


def test_expired_answers_are_deleted(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "KEEP_SECONDS", -1.0)
    with platform.db.transaction() as session:
        keep_answer(session, claimed(platform), ANSWER)
    assert delete_expired_keys(platform.db) == 1 and delete_expired_keys(platform.db) == 0
    assert isinstance(claim_key(platform.db, KEY), KeyClaim)


def claimed(platform: Platform) -> KeyClaim:
    claim = claim_key(platform.db, KEY)
    assert isinstance(claim, KeyClaim)
    return claim
