"""Checkpoints appear whole or not at all, and are not believed unread."""

from pathlib import Path

import pytest

from core.domain.errors import TrainerCrashed
from pipeline.process.checkpoint_manifest import MANIFEST_FILE
from pipeline.training.checkpoint import read_checkpoint, write_checkpoint


def some_checkpoint(folder: Path) -> Path:
    (folder / "weights").write_bytes(b"weights")
    (folder / "table").write_bytes(b"table")
    files = {"last.pt": folder / "weights", "results.csv": folder / "table"}
    return write_checkpoint(folder / "000007", files, epoch=7, ended=None)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(some_checkpoint(tmp_path))
    assert (checkpoint.epoch, checkpoint.ended) == (7, None)
    assert (checkpoint.path / "last.pt").read_bytes() == b"weights"


def test_a_failed_copy_leaves_no_checkpoint_and_the_next_try_succeeds(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_checkpoint(tmp_path / "000007", {"last.pt": tmp_path / "missing"}, epoch=7, ended=None)
    assert not (tmp_path / "000007").exists()
    assert read_checkpoint(some_checkpoint(tmp_path)).epoch == 7


def test_changed_or_missing_bytes_are_refused_by_name(tmp_path: Path) -> None:
    folder = some_checkpoint(tmp_path)
    (folder / "last.pt").write_bytes(b"Weights")
    (folder / "results.csv").unlink()
    with pytest.raises(TrainerCrashed) as caught:
        read_checkpoint(folder)
    assert caught.value.facts == {"files": ["last.pt", "results.csv"]}


def test_a_folder_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    folder = some_checkpoint(tmp_path)
    (folder / MANIFEST_FILE).unlink()
    with pytest.raises(TrainerCrashed, match="cannot be read"):
        read_checkpoint(folder)
