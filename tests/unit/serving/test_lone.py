"""A request without company takes the way that was faster lately."""

from collections.abc import Callable

from serving.models.lone import EARLY, EVERY, TRY, Lone

ON_ALL, ON_ONE = True, False
IDLE = {ON_ALL: 12.0, ON_ONE: 17.0}


def test_what_was_measured_beside_other_starts_is_soon_corrected() -> None:
    def cold_first(way: bool, before: bool | None) -> float:
        return IDLE[way] + (9.0 if way != before else 0.0)

    ways = _answer(Lone(shared_ms=17.0, alone_ms=60.0), EARLY, cold_first)
    assert ways[-1] is ON_ALL, "though the first request after a change of the way takes longer than the other way"


def test_one_slow_request_decides_nothing() -> None:
    lone = Lone(shared_ms=17.0, alone_ms=12.0)
    _answer(lone, EARLY, lambda way, _: IDLE[way])
    numbers = iter(range(EVERY - EARLY))
    ways = _answer(lone, EVERY - EARLY - 1, lambda way, _: 90.0 if next(numbers) % 5 == 0 else IDLE[way])
    assert set(ways) == {ON_ALL}


def test_a_busy_core_changes_the_way_and_an_idle_one_changes_it_back() -> None:
    lone = Lone(shared_ms=17.0, alone_ms=12.0)
    _answer(lone, EARLY, lambda way, _: IDLE[way])
    busy = _answer(lone, 10, lambda way, _: {ON_ALL: 185.0, ON_ONE: 104.0}[way])
    assert busy[-1] is ON_ONE
    assert _answer(lone, EVERY, lambda way, _: IDLE[way])[-1] is ON_ALL


def test_the_other_way_is_tried_too_seldom_for_a_p99_and_never_where_there_is_none() -> None:
    lone = Lone(shared_ms=17.0, alone_ms=12.0)
    _answer(lone, EARLY, lambda way, _: IDLE[way])
    ways = _answer(lone, 10 * EVERY, lambda way, _: IDLE[way])
    assert ways.count(ON_ONE) == 10 * TRY < len(ways) / 100
    assert ON_ALL not in _answer(Lone(shared_ms=5.0, alone_ms=None), 2 * EVERY, lambda *_: 5.0)


def _answer(lone: Lone, count: int, milliseconds: Callable[[bool, bool | None], float]) -> list[bool]:
    """The ways of so many requests; `milliseconds` of a way and the one before it."""
    ways: list[bool] = []
    for _ in range(count):
        way = lone.on_all_cores()
        lone.note(milliseconds(way, ways[-1] if ways else None), on_all_cores=way)
        ways.append(way)
    return ways
