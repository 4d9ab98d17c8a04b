"""results.csv, as ultralytics and the classifiers write it."""

from pathlib import Path

from pipeline.trainers.results import read_results


def test_names_are_read_without_their_padding(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("  epoch,   train/box_loss\n      1,    0.5\n")
    assert read_results(tmp_path / "results.csv") == [{"epoch": 1.0, "train/box_loss": 0.5}]


def test_a_run_that_was_not_trained_has_no_rows(tmp_path: Path) -> None:
    assert read_results(tmp_path / "results.csv") == []
