"""What a preparation in a unit test leaves undone."""

from pathlib import Path

import pytest

from core.domain.keys import PLOT_NAMES


@pytest.fixture
def drawn_plots() -> None:
    """For a test of the plots that a preparation draws."""


@pytest.fixture(autouse=True)
def _plots_are_empty_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib takes four fifths of the time of preparing ten images, and only tests of plots look at them."""
    if "drawn_plots" not in request.fixturenames:
        monkeypatch.setattr("pipeline.prepare.gallery.PLOTS", dict.fromkeys(PLOT_NAMES, _touch))


def _touch(path: Path, *_: object) -> None:
    path.touch()
