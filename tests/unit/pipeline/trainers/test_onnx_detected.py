"""What an imported detector found on a split, beside the labels."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.predictions import PredictedBox
from pipeline.predictor.predictor import Prediction
from pipeline.trainers.onnx.detected import LabelledImage, measure

CLASSES = ("red", "green")  # of the dataset; the model has them in another order
SPEED = {"preprocess": 1.0, "inference": 2.0, "postprocess": 0.5}


def test_boxes_are_counted_by_the_names_of_their_classes() -> None:
    measured = measure([_image((0, 0), (1, 50))], [_found(("green", 50, 0.9), ("red", 0, 0.8))], CLASSES, speed=SPEED)
    metrics = measured.metrics
    assert (metrics["mAP50"], metrics["images"], metrics["boxes"]) == (pytest.approx(0.995), 1, 2)
    assert {name: row["instances"] for name, row in metrics["per_class"].items()} == {"red": 1, "green": 1}
    assert metrics["confusion_matrix"]["matrix"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert metrics["speed"]["inference"] == 2.0
    assert [box.label for box in measured.samples[0].truth] == ["red", "green"]


def test_confusions_misses_and_boxes_on_nothing_have_their_places() -> None:
    images = [_image((0, 0), (1, 50)), _image()]
    found = [_found(("green", 1, 0.9), ("red", 200, 0.2)), _found(("red", 30, 0.6))]
    matrix = measure(images, found, CLASSES, speed=SPEED).metrics["confusion_matrix"]["matrix"]
    assert matrix == [[0, 1, 0], [0, 0, 1], [1, 0, 0]], "red taken for green; green missed; red where nothing is"


def _image(*boxes: tuple[int, int]) -> LabelledImage:
    rows = [[label, x, 0, x + 20, 20] for label, x in boxes]
    return LabelledImage(Path("image.png"), np.array(rows, float).reshape(-1, 5))


def _found(*boxes: tuple[str, int, float]) -> Prediction:
    order = ("green", "red")
    made = (PredictedBox(label, order.index(label), score, x, 0, x + 20, 20) for label, x, score in boxes)
    return Prediction(300, 100, 1, tuple(made), (), {})
