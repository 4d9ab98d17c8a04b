"""An id has the time in it."""

from datetime import UTC, datetime

from core.domain.ids import new_id, time_of


def test_the_time_of_an_id_is_that_at_which_it_was_made() -> None:
    for at in (datetime(2026, 11, 29, 21, 30, 0, 123000, UTC), datetime(1970, 1, 1, tzinfo=UTC)):
        assert time_of(new_id("run", round(at.timestamp() * 1000))) == at
