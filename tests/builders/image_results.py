"""What two models answered for the same images, without a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.detection_metrics import ImageBoxes, scored_boxes
from pipeline.evaluation.image_results import BoxTable, ClassifierResults, DetectorResults

NAMES = ("ball", "cube", "cone", "rare")


def table(rows: list[np.ndarray[Any, Any]]) -> BoxTable:
    """Rows of each image: x1, y1, x2, y2, score, class."""
    joined = np.concatenate([np.zeros((0, 6)), *rows])
    numbers = np.repeat(np.arange(len(rows), dtype=np.int32), [len(each) for each in rows])
    return BoxTable(numbers, joined[:, 5].astype(np.int16), joined[:, :4], joined[:, 4])


def detector(
    images: Sequence[ImageBoxes],
    *,
    classes: tuple[str, ...] = NAMES,
    least: float = 0.5,
    paths: Sequence[str] = (),
    torch: str = "2.8.0",
) -> DetectorResults:
    """`least`: the threshold of all classes."""
    truth = [np.column_stack((each.truth[:, 1:], np.ones(len(each.truth)), each.truth[:, 0])) for each in images]
    return DetectorResults(
        classes=classes,
        paths=tuple(paths) or tuple(f"{number}.jpg" for number in range(len(images))),
        libraries={"torch": torch},
        boxes=scored_boxes(images, len(classes)),
        truth=table(truth),
        listed=table([each.predicted[each.predicted[:, 4] > least] for each in images]),
    )


def classifier(
    predicted: Sequence[int],
    labels: Sequence[int],
    *,
    classes: tuple[str, ...] = ("cat", "dog"),
    paths: Sequence[str] = (),
) -> ClassifierResults:
    """Sure of each prediction with a probability of 0.9."""
    sure = np.where(np.array(predicted) == labels, 0.9, 0.1)
    paths = tuple(paths) or tuple(f"{number}.jpg" for number in range(len(labels)))
    most = np.full(len(labels), 0.9)
    return ClassifierResults(classes, len(classes), paths, {}, np.array(labels), sure, np.array(predicted), most)
