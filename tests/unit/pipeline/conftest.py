"""What a preparation in a unit test leaves undone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.domain.keys import plots_of
from pipeline.dataset.validated import ValidatedDataset
from pipeline.prepare.dataset_plots import PLOTS_FOLDER


@pytest.fixture
def drawn_plots() -> None:
    """For a test of the plots that a preparation draws."""


@pytest.fixture(autouse=True)
def _plots_are_empty_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib takes four fifths of the time of preparing ten images, and only tests of plots look at them."""
    if "drawn_plots" not in request.fixturenames:
        monkeypatch.setattr("pipeline.prepare.run.drawing_plots", _touching)


@contextmanager
def _touching(dataset: ValidatedDataset, out: Path, **_: int) -> Iterator[Callable[..., tuple[str, ...]]]:
    names = plots_of(dataset.kind)
    (out / PLOTS_FOLDER).mkdir(exist_ok=True)
    for name in names:
        (out / PLOTS_FOLDER / f"{name}.png").touch()
    yield lambda *_: names
