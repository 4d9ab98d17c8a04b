"""What a detector found on a split, beside the labels: metrics as after a training, and some samples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset.predictions import PredictedBox
from pipeline.evaluation.box_confusion import MIN_SCORE, confusion_as_json, count_pairs, detection_curves
from pipeline.evaluation.detection_metrics import ImageBoxes, detection_metrics, scored_boxes
from pipeline.evaluation.matched_predictions import MatchedPredictions, matched_boxes
from pipeline.layouts import MANIFEST_FILE
from pipeline.layouts.yolo import tree_stems
from pipeline.plots.grid import Sample
from pipeline.predictor.predictor import Prediction
from pipeline.trainers.image_check import require_images

GRID = 12  # images in the grid of predictions
_THOUSANDTHS = 1000  # of a pixel: the boxes of the manifest

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """`boxes` (N, 5): class, x1, y1, x2, y2 in pixels of the upright image."""

    file: Path
    boxes: Array


@dataclass(frozen=True, slots=True)
class DetectedSplit:
    """Of one split: `metrics` as in metrics.json, `curves` as in curves.json."""

    metrics: dict[str, Any]
    curves: dict[str, Any]
    matched: MatchedPredictions
    samples: tuple[Sample, ...]


def labelled_images(tree: Path, splits: Sequence[str]) -> tuple[list[str], dict[str, list[LabelledImage]]]:
    """The classes, and the images of each split. Raises ImagesDiffer where the tree lacks some or has others."""
    manifest = json.loads((tree / MANIFEST_FILE).read_text(encoding="utf-8"))
    stems = tree_stems([image["path"] for image in manifest["images"]])
    found = {}
    for split in splits:
        folder = tree / "images" / split
        files = {path.stem: path for path in folder.iterdir()} if folder.is_dir() else {}
        images = [image for image in manifest["images"] if image["split"] == split]
        require_images(split, stated={stems[each["path"]]: each["path"] for each in images}, read=files)
        found[split] = [LabelledImage(files[stems[each["path"]]], _boxes(each["boxes"])) for each in images]
    return [str(name) for name in manifest["classes"]], found


def measure(
    images: Sequence[LabelledImage],
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    *,
    speed: dict[str, float],
) -> DetectedSplit:
    """`classes`: of the dataset, by whose names the predictions are counted."""
    column = {name: index for index, name in enumerate(classes)}
    pairs = [ImageBoxes(image.boxes, _rows(one, column)) for image, one in zip(images, predictions, strict=True)]
    measured = detection_metrics(pairs, classes)
    truths = [set(image.boxes[:, 0].astype(int)) for image in images]
    instances = np.bincount(np.concatenate([each.boxes[:, 0] for each in images]).astype(int), minlength=len(classes))
    for index, name in enumerate(classes):
        counts = {"images": sum(index in truth for truth in truths), "instances": int(instances[index])}
        measured["per_class"][name] |= counts
    facts = {"images": len(images), "boxes": int(instances.sum()), "speed": {"unit": "ms per image", **speed}}
    confusion = np.zeros((len(classes) + 1, len(classes) + 1), int)
    for pair in pairs:
        count_pairs(pair, confusion)
    return DetectedSplit(
        metrics={**measured, **facts, "confusion_matrix": confusion_as_json(confusion, classes)},
        curves=detection_curves(scored_boxes(pairs, len(classes)), classes),
        matched=matched_boxes(pairs, len(classes)),
        samples=_samples(images, predictions, classes),
    )


def _boxes(rows: Sequence[Sequence[int]]) -> Array:
    return np.array([[row[0], *(value / _THOUSANDTHS for value in row[1:5])] for row in rows], float).reshape(-1, 5)


def _rows(prediction: Prediction, column: dict[str, int]) -> Array:
    """(M, 6): x1, y1, x2, y2, score, class of the dataset."""
    rows = [[box.x1, box.y1, box.x2, box.y2, box.score, column[box.label]] for box in prediction.boxes]
    return np.array(rows, float).reshape(-1, 6)


def _samples(
    images: Sequence[LabelledImage], predictions: Sequence[Prediction], classes: Sequence[str]
) -> tuple[Sample, ...]:
    chosen = np.unique(np.linspace(0, len(images) - 1, GRID).astype(int))
    return tuple(
        Sample(
            image=images[index].file,
            truth=tuple(PredictedBox(classes[int(row[0])], int(row[0]), 1.0, *row[1:]) for row in images[index].boxes),
            predicted=tuple(box for box in predictions[index].boxes if box.score > MIN_SCORE),
        )
        for index in chosen
    )
