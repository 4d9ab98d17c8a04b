"""What a model answered for each image of a split, so that two models can be compared image by image: one NPZ file.

It has no image, and no pickled object. Of a detector it has the boxes that decide its average precision, in a few bytes
each: of every class those up to its last true positive (what comes after changes no figure, see
`pipeline.evaluation.bootstrap`), and the corners of those above the thresholds of the version.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection_metrics import IOUS, ScoredBoxes
from pipeline.evaluation.split_predictions import SplitPredictions

_FORMAT = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BoxTable:
    """N boxes of all images: `images` and `classes` are indices, `corners` (N, 4) in pixels of the upright image.
    `scores`: 1 for true boxes."""

    images: NDArray[np.int32]
    classes: NDArray[np.int16]
    corners: Floats
    scores: Floats

    def kept(self, chosen: NDArray[np.bool_]) -> "BoxTable":
        return BoxTable(self.images[chosen], self.classes[chosen], self.corners[chosen], self.scores[chosen])


@dataclass(frozen=True, slots=True)
class DetectorResults:
    """`classes`: those that model and dataset share, by the dataset's names. `listed`: the boxes above the thresholds.
    `libraries`: name -> version, of those that the model was trained with."""

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    libraries: Mapping[str, str]
    boxes: ScoredBoxes
    truth: BoxTable
    listed: BoxTable


@dataclass(frozen=True, slots=True)
class ClassifierResults:
    """`classes`: the first `shared` of them are those that model and dataset share. `labels` and `predicted` (N,) are
    indices of them, with the probability of each."""

    classes: tuple[str, ...]
    shared: int
    paths: tuple[str, ...]
    libraries: Mapping[str, str]
    labels: NDArray[np.int_]
    label_scores: Floats
    predicted: NDArray[np.int_]
    scores: Floats


ImageResults = DetectorResults | ClassifierResults


def classifier_results(
    predictions: SplitPredictions, *, shared: int, libraries: Mapping[str, str]
) -> ClassifierResults:
    return ClassifierResults(
        classes=predictions.classes,
        shared=shared,
        paths=predictions.paths,
        libraries=libraries,
        labels=predictions.labels,
        label_scores=predictions.label_probabilities,
        predicted=predictions.predicted,
        scores=np.asarray(predictions.probabilities.max(axis=1)),
    )


def without_idle(boxes: ScoredBoxes) -> ScoredBoxes:
    """Without the boxes of each class whose score is below that of its last true positive."""
    least = np.full(boxes.wanted.shape[1], np.inf)
    right = boxes.correct.any(axis=1)
    np.minimum.at(least, boxes.classes[right], boxes.scores[right])
    kept = boxes.scores >= least[boxes.classes]
    return ScoredBoxes(boxes.images[kept], boxes.scores[kept], boxes.classes[kept], boxes.correct[kept], boxes.wanted)


def write_results(results: ImageResults, target: Path) -> None:
    about: dict[str, Any] = {
        "format": _FORMAT,
        "classes": results.classes,
        "paths": results.paths,
        "libraries": dict(results.libraries),
    }
    columns: dict[str, NDArray[Any]]
    if isinstance(results, DetectorResults):
        about["kind"] = "detection"
        boxes = without_idle(results.boxes)
        columns = {
            "images": boxes.images,
            "scores": boxes.scores.astype(np.float32),
            "classes": boxes.classes,
            "correct": np.packbits(boxes.correct, axis=1),
            "wanted": boxes.wanted,
            **_columns("truth", results.truth),
            **_columns("listed", results.listed),
        }
    else:
        about |= {"kind": "classification", "shared": results.shared}
        columns = {
            "labels": results.labels.astype(np.int32),
            "predicted": results.predicted.astype(np.int32),
            "label_scores": results.label_scores.astype(np.float32),
            "scores": results.scores.astype(np.float32),
        }
    content = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with target.open("wb") as file:
        np.savez_compressed(file, **columns | {"about": content})  # type: ignore[arg-type]  # names are no flags


def read_results(file: Path) -> ImageResults:
    """Raises ValueError for a file of another format."""
    with np.load(file, allow_pickle=False) as found:
        about = json.loads(found["about"].tobytes())
        if about["format"] != _FORMAT:
            raise ValueError(f"{file.name} has the format {about['format']}, and {_FORMAT} is read.")
        common = tuple(map(str, about["classes"])), tuple(map(str, about["paths"])), about["libraries"]
        if about["kind"] == "detection":
            correct = np.unpackbits(found["correct"], axis=1, count=len(IOUS)).astype(bool)
            boxes = ScoredBoxes(found["images"], found["scores"], found["classes"], correct, found["wanted"])
            return DetectorResults(*common, boxes, _table("truth", found), _table("listed", found))
        classes, paths, libraries = common
        return ClassifierResults(
            classes=classes,
            shared=int(about["shared"]),
            paths=paths,
            libraries=libraries,
            labels=found["labels"].astype(int),
            label_scores=found["label_scores"].astype(float),
            predicted=found["predicted"].astype(int),
            scores=found["scores"].astype(float),
        )


def _columns(name: str, table: BoxTable) -> dict[str, NDArray[Any]]:
    return {
        f"{name}_images": table.images,
        f"{name}_classes": table.classes,
        f"{name}_corners": table.corners.astype(np.float32),
        f"{name}_scores": table.scores.astype(np.float32),
    }


def _table(name: str, found: Mapping[str, NDArray[Any]]) -> BoxTable:
    return BoxTable(
        found[f"{name}_images"],
        found[f"{name}_classes"],
        found[f"{name}_corners"].astype(float),
        found[f"{name}_scores"].astype(float),
    )
