"""The one query of all event streams."""

import asyncio
from typing import Any, cast

import pytest

from api.http import event_poll
from api.http.event_poll import EventPoll
from core.services.work.events import Standing


def test_the_poll_goes_on_after_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([RuntimeError("unexpected")])

    def standings(_db: Any, ids: list[str]) -> dict[str, Standing]:
        if error := next(errors, None):
            raise error
        return dict.fromkeys(ids, Standing(1, ended=True))

    monkeypatch.setattr(event_poll, "standings", standings)
    monkeypatch.setattr(event_poll, "FAULTY_POLL_SECONDS", 0.01)

    async def follow() -> Standing:
        with EventPoll(cast("Any", None)).subscribed("job_1", Standing(0, ended=False)) as subscription:
            await subscription.wait(5)
            return subscription.standing

    assert asyncio.run(follow()) == Standing(1, ended=True)
