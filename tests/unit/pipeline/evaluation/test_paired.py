"""Two models on the same images: changes with paired intervals, classes that both know, images won and lost."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import interval_of_change
from pipeline.evaluation.detection_metrics import ImageBoxes, metrics_of_boxes, scored_boxes
from pipeline.evaluation.image_results import read_results, without_idle, write_results
from pipeline.evaluation.paired import write_paired
from pipeline.evaluation.read_paired import read_outcome, read_summary
from tests.builders.image_results import NAMES, classifier, detector
from tests.unit.pipeline.evaluation.test_bootstrap import images_of


def paired(first: Any, second: Any, folder: Path) -> dict[str, Any]:
    """By the command, from what is written of both."""
    files = [folder / "first.npz", folder / "second.npz"]
    for results, file in zip((first, second), files, strict=True):
        write_results(results, file)
    write_paired(*map(read_results, files), folder / "paired.sqlite")
    return read_summary(folder / "paired.sqlite")


def test_boxes_behind_the_last_true_positive_change_no_figure() -> None:
    boxes = scored_boxes(images_of(60), len(NAMES))
    fewer = without_idle(boxes)
    assert len(fewer.scores) < len(boxes.scores)
    whole, less = (metrics_of_boxes(each, NAMES)["per_class"] for each in (boxes, fewer))
    for name in NAMES:
        assert (whole[name]["mAP50"], whole[name]["mAP50-95"]) == (less[name]["mAP50"], less[name]["mAP50-95"])


def test_the_change_has_the_interval_of_resamples_of_both(tmp_path: Path) -> None:
    before, after = images_of(80), images_of(80, noise=6.0)
    found = paired(detector(before), detector(after), tmp_path)
    change = next(each for each in found["figures"] if each["metric"] == "mAP50-95")
    first, second = (metrics_of_boxes(scored_boxes(each, len(NAMES)), NAMES) for each in (before, after))
    assert change["first"] == pytest.approx(first["mAP50-95"], abs=1e-4)
    assert change["second"] == pytest.approx(second["mAP50-95"], abs=1e-4)
    expected = interval_of_change(*(scored_boxes(each, len(NAMES)) for each in (before, after)))
    assert change["interval"] == pytest.approx(expected.as_json(), abs=1e-4)
    assert change["interval"][1] < 0  # worse beyond chance
    by_class = {each["class"]: each for each in found["per_class"]}
    for name in NAMES[:3]:
        assert by_class[name]["figures"][0]["first"] == pytest.approx(first["per_class"][name]["mAP50"], abs=1e-4)
    assert by_class["rare"]["images"] >= 5 or by_class["rare"]["figures"][0]["interval"] is None


def test_a_class_that_one_lacks_is_left_out_of_both(tmp_path: Path) -> None:
    images = images_of(40)
    renamed = detector(images, classes=("cone", "cube", "other", "rare"))  # cone is what the first calls ball
    found = paired(detector(images), renamed, tmp_path)
    assert found["classes"] == 3 and {each["class"] for each in found["per_class"]} <= {"cube", "cone", "rare"}


def test_images_are_won_and_lost_by_their_boxes_above_the_thresholds(tmp_path: Path) -> None:
    truth = np.array([[0, 10, 10, 50, 50], [1, 60, 60, 90, 90]], float)
    right = np.array([[10, 10, 50, 50, 0.9, 0], [60, 60, 90, 90, 0.8, 1]], float)
    half, false = right[:1], np.array([[100, 100, 120, 120, 0.7, 0]], float)
    weak = right.copy()
    weak[:, 4] = 0.3  # below the thresholds
    nothing = np.zeros((0, 6))
    first = [half, right, weak, nothing]
    second = [right, np.concatenate((right, false)), half, nothing]
    truths = [truth, truth, truth, np.zeros((0, 5))]
    sides = [
        detector([ImageBoxes(*each) for each in zip(truths, rows, strict=True)], classes=("ball", "cube"))
        for rows in (first, second)
    ]
    found = paired(*sides, tmp_path)
    assert (found["won"], found["lost"], found["tied"]) == (2, 1, 1)
    won = read_outcome(tmp_path / "paired.sqlite", "won", after=None, limit=1)
    assert won.images[0]["path"] == "2.jpg" and won.end == 0  # from nothing to half: the larger difference
    rest = read_outcome(tmp_path / "paired.sqlite", "won", after=won.end, limit=5)
    (image,) = rest.images
    assert rest.end is None and (image["first"]["missed"], image["second"]["missed"]) == (1, 0)
    assert image["first"]["boxes"][0] == {"class": "cube", "outcome": "missed", "score": None, "box": [60, 60, 90, 90]}
    (lost,) = read_outcome(tmp_path / "paired.sqlite", "lost", after=None, limit=5).images
    assert (lost["path"], lost["second"]["false"], lost["second"]["f1"]) == ("1.jpg", 1, 0.8)


def test_a_classifier_is_compared_by_class_and_image(tmp_path: Path) -> None:
    labels = [0] * 40 + [1] * 3
    first, second = list(labels), list(labels)
    first[:8] = [1] * 8
    second[8:10] = [1, 1]
    found = paired(classifier(first, labels), classifier(second, labels), tmp_path)
    (accuracy,) = found["figures"]
    assert (found["won"], found["lost"], found["tied"], found["images"]) == (8, 2, 33, 43)
    assert accuracy["change"] == pytest.approx(6 / 43, abs=1e-5)
    low, high = accuracy["interval"]
    assert 0 < low < accuracy["change"] < high
    cat, dog = found["per_class"]
    assert (cat["class"], cat["figures"][0]["first"], dog["figures"][0]["interval"]) == ("cat", 0.8, None)


def test_two_equal_models_have_no_interval(tmp_path: Path) -> None:
    labels = [0, 1] * 10
    found = paired(classifier(labels, labels), classifier(labels, labels), tmp_path)
    assert found["figures"][0] | {"metric": ""} == {
        "metric": "",
        "first": 1,
        "second": 1,
        "change": 0,
        "interval": None,
    }


def test_the_command_writes_the_comparison(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_results(detector(images_of(10)), tmp_path / name)
    files = [str(tmp_path / name) for name in ("a", "b", "out")]
    command = [sys.executable, "-m", "pipeline", "compare-results", *files[:2], "--out", files[2]]
    subprocess.run(command, check=True)  # it limits its own process
    assert read_summary(tmp_path / "out")["tied"] == 10
