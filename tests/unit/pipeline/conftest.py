"""What a preparation in a unit test leaves undone."""

import pytest

from tests.builders.empty_plots import touching_plots


@pytest.fixture
def drawn_plots() -> None:
    """For a test of the plots that a preparation draws."""


@pytest.fixture(autouse=True)
def _plots_are_empty_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests of plots look at them."""
    if "drawn_plots" not in request.fixturenames:
        monkeypatch.setattr("pipeline.prepare.run.drawing_plots", touching_plots)
