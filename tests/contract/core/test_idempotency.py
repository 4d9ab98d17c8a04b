"""Idempotency keys on each database: one claim wins, an answer commits with what it answers, a dead claim runs out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.domain.errors import IdempotencyKeyReused, RequestInFlight
from core.services import idempotency
from core.services.context import Platform
from core.services.idempotency import (
    Answer,
    Key,
    KeyClaim,
    claim_key,
    digest_of,
    forget_expired_keys,
    free_key,
    keep_answer,
    refuse_other_request,
    renew_key,
)

KEY = Key("POST", "/upload-dataset", "k")
ANSWER = Answer(digest_of({"a": 1}), 202, {"job_id": "job_1"})


def test_of_many_requests_at_once_one_gets_the_claim(platform: Platform) -> None:
    def attempt(_number: int) -> bool:
        try:
            return isinstance(claim_key(platform.db, KEY), KeyClaim)
        except RequestInFlight:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_an_answer_is_found_by_the_same_request_and_refused_to_another(platform: Platform) -> None:
    claim = claimed(platform)
    with platform.db.transaction() as session:
        keep_answer(session, claim, ANSWER)
    free_key(platform.db, claim)  # an answered key stays
    found = claim_key(platform.db, KEY)
    assert found == ANSWER and isinstance(found, Answer)
    refuse_other_request(found, KEY, digest_of({"a": 1}))
    with pytest.raises(IdempotencyKeyReused):
        refuse_other_request(found, KEY, digest_of({"a": 2}))
    assert isinstance(claim_key(platform.db, Key("POST", "/other", "k")), KeyClaim), "a key belongs to its path"


def test_the_claim_of_a_dead_process_runs_out_and_its_holder_can_answer_no_more(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "CLAIM_SECONDS", -1.0)
    dead = claimed(platform)
    monkeypatch.undo()
    heir = claimed(platform)
    assert renew_key(platform.db, heir) and not renew_key(platform.db, dead)
    with pytest.raises(RequestInFlight), platform.db.transaction() as session:
        keep_answer(session, dead, ANSWER)
    free_key(platform.db, dead)  # frees nothing that is not its own
    with pytest.raises(RequestInFlight):
        claim_key(platform.db, KEY)


def test_answers_are_forgotten_after_their_time(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "KEEP_SECONDS", -1.0)
    with platform.db.transaction() as session:
        keep_answer(session, claimed(platform), ANSWER)
    assert forget_expired_keys(platform.db) == 1 and forget_expired_keys(platform.db) == 0
    assert isinstance(claim_key(platform.db, KEY), KeyClaim)


def claimed(platform: Platform) -> KeyClaim:
    claim = claim_key(platform.db, KEY)
    assert isinstance(claim, KeyClaim)
    return claim
