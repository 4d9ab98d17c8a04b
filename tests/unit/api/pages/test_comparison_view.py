"""The sentence of a comparison."""

from types import SimpleNamespace
from typing import Any

import pytest

from api.pages.comparison_view import verdict_of


@pytest.mark.parametrize(
    ("score", "title"), [(0.0, "Both score 0: neither v1 nor v2 has learned yet"), (0.5, "v2 answers as v1 does")]
)
def test_two_that_score_nothing_are_not_called_equal(score: float, title: str) -> None:
    figure = SimpleNamespace(metric="mAP50", first=score, second=score, change=0.0, interval=None)
    found: Any = SimpleNamespace(
        first=SimpleNamespace(version="raccoons/v1"),
        second=SimpleNamespace(version="raccoons/v2"),
        paired=SimpleNamespace(figures=[figure], images=19),
    )
    verdict = verdict_of(found)
    assert verdict is not None
    assert (verdict.word, verdict.title) == ("same", title)
