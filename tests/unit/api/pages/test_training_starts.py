"""What a training may start from, by names that somebody has written."""

from pathlib import Path

import pytest

from api.pages.training_starts import is_here


@pytest.mark.parametrize("trainer", ["yolo", "vit", "clip"])
@pytest.mark.parametrize("name", ["/" * 200, "x" * 300_000, "\U0001f600" * 190, "../x", "/x"])
def test_a_name_that_no_folder_can_have_is_not_there(trainer: str, name: str, tmp_path: Path) -> None:
    assert not is_here(trainer, name, tmp_path)


def test_a_path_outside_the_folder_is_not_looked_at(tmp_path: Path) -> None:
    outside = tmp_path / "model"
    outside.mkdir()
    (outside / "config.json").touch()
    (outside / "model.safetensors").touch()
    assert is_here("vit", "model", tmp_path)
    assert not is_here("vit", str(outside), tmp_path / "weights")
