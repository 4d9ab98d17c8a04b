"""What an evaluation answered, image by image, agrees with the figures that it reported."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.answers import write_answers
from pipeline.evaluation.box_confusion import count_pairs
from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.image_results import DetectorResults, read_results, write_results
from pipeline.evaluation.matched_predictions import figures_above, matched_boxes
from pipeline.evaluation.read_answers import read_answers, read_answers_summary, read_cell
from pipeline.evaluation.thresholds import Thresholds
from tests.builders.image_results import classifier, detector

NAMES = ("ball", "cube")
RIGHT, MISSED, WRONG = "right.jpg", "missed.jpg", "wrong.jpg"
TRUTH = np.array([[0, 10, 10, 40, 40], [1, 50, 5, 90, 60]], float)
ANSWERS = {
    RIGHT: np.array([[10, 10, 40, 40, 0.9, 0], [50, 5, 90, 60, 0.8, 1]], float),
    MISSED: np.array([[10, 10, 40, 40, 0.9, 0], [50, 5, 90, 60, 0.3, 1]], float),
    WRONG: np.array([[10, 10, 40, 40, 0.7, 1], [50, 5, 90, 60, 0.8, 1], [0, 0, 9, 9, 0.6, 0]], float),
}


def thresholds(least: float, classes: Sequence[str] = ()) -> Thresholds:
    return Thresholds(least, "val", dict.fromkeys(classes, least), {})


def written(folder: Path, results: DetectorResults, labels: Sequence[str] = NAMES) -> Path:
    """As an evaluation leaves them, in the store's precision."""
    lines = [
        {"path": path, "boxes": [{"label": labels[int(row[5])], "score": row[4], "box": [*row[:4]]} for row in rows]}
        for path, rows in ANSWERS.items()
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_results(results, folder / "results.npz")
    target = folder / "answers.sqlite"
    write_answers(read_results(folder / "results.npz"), folder / "predictions.jsonl", thresholds(0.5), target)
    return target


@pytest.mark.parametrize("labels", [NAMES, ("Ball", "CUBE")])
def test_a_detector_by_its_worst_images_its_cells_and_its_curves(tmp_path: Path, labels: tuple[str, str]) -> None:
    images = [ImageBoxes(TRUTH, rows) for rows in ANSWERS.values()]
    file = written(tmp_path, detector(images, classes=NAMES, paths=list(ANSWERS)), labels)
    summary = read_answers_summary(file)
    matrix = np.zeros((3, 3), int)
    for image in images:
        count_pairs(image, matrix)
    assert summary["labels"] == ["ball", "cube", "background"] and summary["images"] == 3
    assert {(row, column): count for row, column, count in summary["cells"]} == {
        (int(row), int(column)): int(matrix[row, column]) for row, column in np.argwhere(matrix)
    }
    expected = figures_above(matched_boxes(images, 2), [0.5, 0.5])
    at = summary["curves"]["x"].index(0.5)
    for index, figures in enumerate(expected):
        found = summary["curves"]["classes"][str(index)]
        assert figures is not None
        for name in ("precision", "recall", "f1"):
            assert found[name][at] == pytest.approx(getattr(figures, name), abs=1e-4)
    mean = np.mean([each.f1 for each in expected if each])
    assert summary["curves"]["all"]["f1"][at] == pytest.approx(mean, abs=1e-4)

    worst = read_answers(file, "worst", after=-1, limit=2)
    assert [each["path"] for each in worst.images] == [WRONG, MISSED] and (worst.total, worst.end) == (3, 1)
    assert worst.images[0]["confused"] == [["ball", "cube"]]
    assert [worst.images[0][name] for name in ("right", "missed", "false")] == [1, 1, 2]
    rest = read_answers(file, "worst", after=1, limit=2)
    assert [each["path"] for each in rest.images] == [RIGHT] and rest.end is None
    partners = [box[-1] for box in rest.images[0]["found"]]
    assert partners == [0, 1] and [box[-1] for box in worst.images[0]["found"]] == [1, -1, -1]
    suspect = read_answers(file, "suspect", after=-1, limit=9)
    assert [(each["path"], each["doubt"]) for each in suspect.images] == [(WRONG, 0.7)] and suspect.total == 1
    behind = read_cell(file, 0, 1, after=-1, limit=10)
    assert ([each["path"] for each in behind.images], behind.total) == ([WRONG], 1)
    assert read_cell(file, 1, 0, after=-1, limit=10).images == []


def test_a_classifier_by_the_loss_of_its_images(tmp_path: Path) -> None:
    results = classifier([0, 1, 1], [0, 1, 0], paths=["a", "b", "c"])
    lines = [{"path": path, "labels": [{"label": "cat", "score": 0.9}]} for path in "abc"]
    (tmp_path / "lines").write_text("\n".join(map(json.dumps, lines)))
    write_answers(results, tmp_path / "lines", thresholds(0.95), tmp_path / "out")
    summary = read_answers_summary(tmp_path / "out")
    assert summary["cells"] == [[0, 0, 1], [0, 1, 1], [1, 1, 1]] and summary["labels"] == ["cat", "dog"]
    worst = read_answers(tmp_path / "out", "worst", after=-1, limit=1).images[0]
    assert (worst["path"], worst["label"], worst["predicted"], worst["sure"]) == ("c", 0, 1, False)
    assert worst["loss"] == pytest.approx(-np.log(0.1), abs=1e-3)


def test_artifacts_of_different_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(json.dumps({"path": "other", "labels": []}))
    with pytest.raises(ValueError, match="lacks the image"):
        write_answers(classifier([0], [0]), tmp_path / "lines", thresholds(0), tmp_path / "out")
