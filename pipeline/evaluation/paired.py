"""Two models on the same images: the change of each figure with its interval, and the images won and lost.

Intervals are those of the paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13;
of two systems on the same test set: Koehn, Statistical Significance Tests for Machine Translation Evaluation, 2004):
each resample of the images is measured of both models, and the percentiles of its change bound it with a confidence of
95 %. So hard images, which both meet, do not widen it. The seed is fixed. There is no interval where fewer than
MIN_IMAGES images have the class, nor where no resample differs from another: resamples cannot say how far such a change
is due to chance.

An image is won where the second model is right and the first is wrong. Of a detector: where F1 of the image is higher,
over the boxes above the thresholds of each version, matched with the true ones of their class at an IoU of 0.5 or more.
An image without a true box and without a predicted one has F1 = 1.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import (
    CONFIDENCE,
    Weights,
    draw_resamples,
    interval_of,
    precisions_of_classes,
    share_of_resamples,
)
from pipeline.evaluation.detection_metrics import ScoredBoxes, pairwise_iou
from pipeline.evaluation.image_results import BoxTable, ClassifierResults, DetectorResults, ImageResults

MIN_IOU = 0.5
MIN_IMAGES = 5  # of a class; resamples of fewer hardly differ
BOXES_KEPT = 300  # of an image in each of the two models
TABLES = (
    "CREATE TABLE summary (content TEXT NOT NULL)",
    "CREATE TABLE images (outcome TEXT, number INTEGER, content TEXT NOT NULL, PRIMARY KEY (outcome, number))",
)
RULES = {
    "detection": "An image is won where its F1 is higher: boxes above each version's thresholds, matched at IoU 0.5.",
    "classification": "An image is won where the second version is right and the first is wrong.",
}

Array = NDArray[np.float64]
Outcome = Literal["won", "lost"]


@dataclass(frozen=True, slots=True)
class _Pair:
    """(R,) each: a figure of both models in each resample; its first entry is the figure itself, of all images."""

    metric: str
    first: Array
    second: Array

    def as_json(self, *, images: int) -> dict[str, Any]:
        changes = (self.second - self.first)[1:]
        changes = changes[~np.isnan(changes)]
        known = images >= MIN_IMAGES and len(changes) > 0 and bool(np.ptp(changes) > 0)
        first, second = float(self.first[0]), float(self.second[0])
        return {
            "metric": self.metric,
            "first": round(first, 5),
            "second": round(second, 5),
            "change": round(second - first, 5),
            "interval": interval_of(changes).as_json() if known else None,
        }


def write_paired(first: ImageResults, second: ImageResults, target: Path) -> None:
    """`target`: a SQLite file that does not exist yet. Raises ValueError for results of different kinds or images."""
    if isinstance(first, DetectorResults) and isinstance(second, DetectorResults):
        kind, content, images = "detection", *_detectors(first, second)
    elif isinstance(first, ClassifierResults) and isinstance(second, ClassifierResults):
        kind, content, images = "classification", *_classifiers(first, second)
    else:
        raise ValueError("One of the results is of a detector, the other of a classifier.")
    ranked: dict[Outcome, list[tuple[float, str, str]]] = {"won": [], "lost": []}
    for gain, image in images:
        if gain:
            ranked["won" if gain > 0 else "lost"].append((-abs(gain), image["path"], json.dumps(image)))
    counts: dict[str, int] = {outcome: len(found) for outcome, found in ranked.items()}
    summary: dict[str, Any] = {
        "kind": kind,
        "confidence": CONFIDENCE,
        "rule": RULES[kind],
        **content,
        **counts,
        "tied": content["images"] - sum(counts.values()),
        "libraries": {"first": dict(first.libraries), "second": dict(second.libraries)},
    }
    with closing(sqlite3.connect(target)) as db, db:
        for table in TABLES:
            db.execute(table)
        db.execute("INSERT INTO summary VALUES (?)", (json.dumps(summary, allow_nan=False),))
        for outcome, found in ranked.items():
            found.sort()
            rows = ((outcome, number, image) for number, (*_, image) in enumerate(found))
            db.executemany("INSERT INTO images VALUES (?, ?, ?)", rows)


def _detectors(
    first: DetectorResults, second: DetectorResults
) -> tuple[dict[str, Any], Iterator[tuple[float, dict[str, Any]]]]:
    if first.paths != second.paths:
        raise ValueError("The results are of different images.")
    classes = _common(first.classes, second.classes)
    sides = [_of_classes(results, classes) for results in (first, second)]
    boxes = [side.boxes for side in sides]
    weights = _weights(len(first.paths), work=sum(len(each.scores) for each in boxes))
    found = [dict(precisions_of_classes(each, weights)) for each in boxes]
    wanted = boxes[0].wanted
    per_class = []
    for index in found[0]:
        images = int((wanted[:, index] > 0).sum())
        figures = [pair.as_json(images=images) for pair in _precisions([each[index] for each in found])]
        instances = int(wanted[:, index].sum())
        per_class.append({"class": classes[index], "images": images, "instances": instances, "figures": figures})
    means = [_mean_over_classes(list(each.values()), len(weights)) for each in found]
    content = {
        "images": len(first.paths),
        "resamples": len(weights) - 1,
        "classes": len(classes),
        "figures": [pair.as_json(images=int((wanted.sum(axis=1) > 0).sum())) for pair in _precisions(means)]
        if found[0]
        else [],
        "per_class": per_class,
    }
    return content, _box_outcomes(sides, classes, first.paths)


def _classifiers(
    first: ClassifierResults, second: ClassifierResults
) -> tuple[dict[str, Any], Iterator[tuple[float, dict[str, Any]]]]:
    """Over the images of classes that both know."""
    places = {path: place for place, path in enumerate(second.paths)}
    both = [(place, places[path]) for place, path in enumerate(first.paths) if path in places]
    if not both:
        raise ValueError("The results have no image in common.")
    rows = np.array(both)
    known = _common(first.classes[: first.shared], second.classes[: second.shared])
    labels = np.array([known.index(first.classes[label]) for label in first.labels[rows[:, 0]]])
    right = [
        (results.predicted == results.labels)[rows[:, side]].astype(float)
        for side, results in enumerate((first, second))
    ]
    weights = _weights(len(rows))
    per_class = []
    for index in np.unique(labels):
        mine = labels == index
        shares = [_share(each[mine], weights[:, mine]) for each in right]
        figures = [_Pair("accuracy", *shares).as_json(images=int(mine.sum()))]
        per_class.append({"class": known[index], "images": int(mine.sum()), "instances": None, "figures": figures})
    content = {
        "images": len(rows),
        "resamples": len(weights) - 1,
        "classes": len(known),
        "figures": [
            _Pair("accuracy", *(share_of_resamples(each, weights) for each in right)).as_json(images=len(rows))
        ],
        "per_class": per_class,
    }
    return content, _label_outcomes(first, second, both)


def _common(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """In the order of the first."""
    theirs = set(second)
    return [name for name in first if name in theirs]


def _weights(images: int, *, work: int = 0) -> Weights:
    """Those of all images once, and those of the resamples."""
    return np.concatenate((np.ones((1, images), np.int32), draw_resamples(images, work=work)))


def _share(right: Array, weights: Weights) -> Array:
    """(R,): of the drawn images; NaN where none is drawn."""
    drawn = weights.sum(axis=1)
    nothing = np.full(len(weights), np.nan)
    return np.asarray(np.divide(weights @ right, drawn, out=nothing, where=drawn > 0))


def _precisions(found: Sequence[Array]) -> list[_Pair]:
    """`found`: (R, 10) of each model."""
    first, second = found
    return [
        _Pair("mAP50", first[:, 0], second[:, 0]),
        _Pair("mAP50-95", first.mean(axis=1), second.mean(axis=1)),
    ]


def _mean_over_classes(found: Sequence[Array], resamples: int) -> Array:
    """(R, 10), over the classes with boxes in the resample; 0 where none has."""
    total, present = np.zeros((resamples, 10)), np.zeros(resamples)
    for each in found:
        total += np.nan_to_num(each)
        present += ~np.isnan(each[:, 0])
    return np.asarray(total / np.maximum(present, 1)[:, None])


def _of_classes(results: DetectorResults, classes: Sequence[str]) -> DetectorResults:
    """Its boxes of `classes` alone, which are numbered anew."""
    numbers = np.array([classes.index(name) if name in classes else -1 for name in results.classes], np.int16)
    columns = [results.classes.index(name) for name in classes]
    boxes = results.boxes
    renamed = numbers[boxes.classes]
    kept = renamed >= 0
    scored = ScoredBoxes(
        boxes.images[kept], boxes.scores[kept], renamed[kept], boxes.correct[kept], boxes.wanted[:, columns]
    )
    truth, listed = (_renamed(each, numbers) for each in (results.truth, results.listed))
    return DetectorResults(tuple(classes), results.paths, results.libraries, scored, truth, listed)


def _renamed(table: BoxTable, numbers: NDArray[np.int16]) -> BoxTable:
    renamed = numbers[table.classes]
    return BoxTable(table.images, renamed, table.corners, table.scores).kept(renamed >= 0)


def _box_outcomes(
    sides: Sequence[DetectorResults], classes: Sequence[str], paths: Sequence[str]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Of each image its gain in F1; of tied ones nothing else."""
    truth = _by_image(sides[0].truth, len(paths))
    listed = [_by_image(side.listed, len(paths)) for side in sides]
    for place, path in enumerate(paths):
        answers = [_Matched(truth[place], each[place]) for each in listed]
        gain = answers[1].f1 - answers[0].f1
        if gain:
            first, second = (each.as_json(classes) for each in answers)
            yield gain, {"path": path, "label": None, "first": first, "second": second}


def _by_image(table: BoxTable, images: int) -> list[Array]:
    """Of each image its boxes (N, 6): x1, y1, x2, y2, score, class."""
    rows = np.column_stack((table.corners, table.scores, table.classes))
    order = np.argsort(table.images, kind="stable")
    return np.split(rows[order], np.searchsorted(table.images[order], np.arange(1, images)))


class _Matched:
    """The boxes of an image, matched with the true ones of their class: those that overlap most choose first."""

    def __init__(self, truth: Array, listed: Array) -> None:
        self._truth, self._listed = truth, listed
        self._missed, self._false = set(range(len(truth))), set(range(len(listed)))
        if len(truth) and len(listed):
            overlaps = pairwise_iou(truth[:, :4], listed[:, :4])
            overlaps[truth[:, 5:6] != listed[:, 5]] = 0
            rows, columns = np.nonzero(overlaps >= MIN_IOU)
            for each in np.argsort(-overlaps[rows, columns], kind="stable"):
                row, column = int(rows[each]), int(columns[each])
                if row in self._missed and column in self._false:
                    self._missed.remove(row)
                    self._false.remove(column)
        self._found = len(truth) - len(self._missed)
        total = len(truth) + len(listed)
        self.f1 = 2 * self._found / total if total else 1.0

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Counts, F1, and the boxes: those that are missed, then the predicted ones by their scores."""
        order = map(int, np.argsort(-self._listed[:, 4], kind="stable"))
        boxes = [
            *(_box(self._truth[row], classes, "missed") for row in sorted(self._missed)),
            *(_box(self._listed[row], classes, "false" if row in self._false else "found") for row in order),
        ]
        return {
            "f1": round(self.f1, 5),
            "found": self._found,
            "missed": len(self._missed),
            "false": len(self._false),
            "boxes": boxes[:BOXES_KEPT],
        }


def _box(row: Array, classes: Sequence[str], outcome: str) -> dict[str, Any]:
    x1, y1, x2, y2 = (round(float(edge), 1) for edge in row[:4])
    score = None if outcome == "missed" else round(float(row[4]), 3)
    return {"class": classes[int(row[5])], "outcome": outcome, "score": score, "box": [x1, y1, x2, y2]}


def _label_outcomes(
    first: ClassifierResults, second: ClassifierResults, both: Sequence[tuple[int, int]]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Of each image the gain in the probability of its label, where one is right and the other is wrong; else 0."""
    for one, other in both:
        answers = [_answer(results, place) for results, place in ((first, one), (second, other))]
        gain = 0.0
        if answers[0]["right"] != answers[1]["right"]:
            gain = (1 if answers[1]["right"] else -1) * (1 + abs(answers[1]["label_score"] - answers[0]["label_score"]))
        label = first.classes[first.labels[one]]
        yield gain, {"path": first.paths[one], "label": label, "first": answers[0], "second": answers[1]}


def _answer(results: ClassifierResults, place: int) -> Mapping[str, Any]:
    predicted, label = int(results.predicted[place]), int(results.labels[place])
    return {
        "right": predicted == label,
        "predicted": results.classes[predicted],
        "score": round(float(results.scores[place]), 5),
        "label_score": round(float(results.label_scores[place]), 5),
    }
