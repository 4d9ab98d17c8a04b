"""Values as people read them, and MLflow's address."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from api.pages import filters
from api.pages.rendering import mlflow_url
from core import clock


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_499, "999 kB"), (999_600, "1.0 MB"), (4.2e9, "4.2 GB")],
)
def test_sizes(count: float, text: str) -> None:
    assert filters.bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.32, "320 ms"),
        (4.21, "4.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3839, "1 h 03 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert filters.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "just now"), (50, "1 minute ago"), (150, "2 minutes ago"), (3600, "1 hour ago"), (2 * 86_400, "2 days ago")],
)
def test_how_long_ago(monkeypatch: pytest.MonkeyPatch, seconds: int, text: str) -> None:
    now = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    at = now - timedelta(seconds=seconds)
    assert f">{text}</time>" in filters.ago(at)
    assert filters.ago(at) == filters.ago(at.replace(tzinfo=None)) == filters.ago(at.isoformat().replace("+00:00", "Z"))


def test_what_is_not_known_is_a_dash() -> None:
    every = (filters.bytes_text, filters.duration, filters.ago, filters.number, filters.percent, filters.metric)
    assert {str(each(None)) for each in (*every, filters.short_hash)} == {filters.NONE}
    assert (filters.number(1234567), filters.number(2.5)) == ("1,234,567", "2.50")
    assert (filters.percent(0.943), filters.metric(0.9), filters.short_hash("ab" * 32)) == ("94 %", "0.900", "ab" * 6)


@pytest.mark.parametrize(
    ("change", "direction"),
    [(0.0005, "up"), (0.00049, "same"), (0.0, "same"), (-0.00049, "same"), (-0.0005, "down")],
)
def test_a_change_that_three_digits_do_not_show_is_none(change: float, direction: str) -> None:
    assert filters.direction(change) == direction


@pytest.mark.parametrize(
    ("host", "link", "expected"),
    [
        ("localhost:8000", "http://localhost:5000/#/x", "http://127.0.0.1:5000/#/x"),
        ("127.0.0.1:8000", "http://127.0.0.1:5000", "http://localhost:5000"),
        ("127.0.0.1:8000", "http://localhost:5000", "http://localhost:5000"),
        ("darkroom.example", "https://mlflow.example", "https://mlflow.example"),
        ("localhost", "", ""),
    ],
)
def test_mlflow_is_linked_by_another_name_than_the_pages(host: str, link: str, expected: str) -> None:
    scope = {"type": "http", "path": "/ui/", "query_string": b"", "headers": [(b"host", host.encode())]}
    assert mlflow_url(Request({**scope, "scheme": "http"}), link) == expected
