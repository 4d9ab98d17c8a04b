"""What one model answered for each image of a split, for people who look at it: one SQLite file.

It is made of two artifacts of an evaluation: image_results.npz, which has the ground truth, and predictions.jsonl,
which has the boxes from a score of 0.01 up. `read_answers` reads it.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import NoSharedClass
from pipeline.evaluation.box_confusion import MIN_IOU, MIN_SCORE, confused_pairs
from pipeline.evaluation.class_match import match_classes
from pipeline.evaluation.detection_metrics import ImageBoxes, pairwise_iou
from pipeline.evaluation.image_results import BoxTable, ClassifierResults, DetectorResults, ImageResults
from pipeline.evaluation.matched_predictions import MatchedPredictions
from pipeline.evaluation.thresholds import Thresholds

BOXES_KEPT = 300  # predicted ones of an image, the best first; as many as are drawn on one
TABLES = (
    "CREATE TABLE summary (content TEXT NOT NULL)",
    "CREATE TABLE images (number INTEGER PRIMARY KEY, worst INTEGER NOT NULL, suspect INTEGER, content TEXT NOT NULL)",
    "CREATE TABLE pairs (truth INTEGER, predicted INTEGER, rank INTEGER, number INTEGER,"
    " PRIMARY KEY (truth, predicted, rank)) WITHOUT ROWID",
    "CREATE INDEX images_worst ON images (worst)",
    "CREATE INDEX images_suspect ON images (suspect)",
)
STEPS = np.arange(1, 100) / 100  # thresholds of the curves

Array = NDArray[np.float64]
Pairs = Counter[tuple[int, int]]


class _Image(NamedTuple):
    """`badness` orders the images, the largest first. `doubt`: how sure the model is of something that the labels deny,
    0 for nothing. `pairs`: cells of the confusion matrix, with how often."""

    badness: float
    doubt: float
    pairs: Pairs
    content: dict[str, Any]


def write_answers(results: ImageResults, predictions: Path, thresholds: Thresholds, target: Path) -> None:
    """`thresholds`: by the dataset's names of the classes. `target` does not exist yet.

    Raises ValueError where the two artifacts are of different images.
    """
    lines = _read_lines(predictions)
    if isinstance(results, DetectorResults):
        kind, labels = "detection", (*results.classes, "background")
        images, matched = _detector(results, lines, thresholds)
    else:
        kind, labels = "classification", results.classes
        images, matched = _classifier(results, lines, thresholds)
    matrix = sum((image.pairs for image in images), Counter())
    summary = {
        "kind": kind,
        "labels": labels,
        "classes": len(results.classes),
        "images": len(images),
        "cells": [[*cell, count] for cell, count in sorted(matrix.items())],
        "min_score": MIN_SCORE if kind == "detection" else None,
        "min_iou": MIN_IOU if kind == "detection" else None,
        "curves": _curves(matched),
    }
    with closing(sqlite3.connect(target)) as db, db:
        for table in TABLES:
            db.execute(table)
        db.execute("INSERT INTO summary VALUES (?)", (json.dumps(summary, allow_nan=False),))
        worst = _places([image.badness for image in images])
        suspect = _places([image.doubt for image in images])
        rows = (
            (number, worst[number], suspect[number] if image.doubt > 0 else None, json.dumps(image.content))
            for number, image in enumerate(images)
        )
        db.executemany("INSERT INTO images VALUES (?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?)", _ranked(images))


def _places(values: Sequence[float]) -> dict[int, int]:
    """Number of each to its place, the largest value first."""
    ranked = sorted(range(len(values)), key=lambda number: (-values[number], number))
    return {number: place for place, number in enumerate(ranked)}


def _ranked(images: Sequence[_Image]) -> Iterator[tuple[int, int, int, int]]:
    """Of each cell the images with most of it first."""
    cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, image in enumerate(images):
        for cell, count in image.pairs.items():
            cells.setdefault(cell, []).append((-count, number))
    for cell, found in cells.items():
        for rank, (_, number) in enumerate(sorted(found)):
            yield (*cell, rank, number)


def _read_lines(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as lines:
        return {line["path"]: line for line in map(json.loads, lines)}


def _detector(
    results: DetectorResults, lines: Mapping[str, Any], thresholds: Thresholds
) -> tuple[list[_Image], MatchedPredictions]:
    numbers = _numbers_of(results.classes, (box["label"] for line in lines.values() for box in line["boxes"]))
    least = np.asarray(thresholds.of(results.classes), float)
    images, parts = [], []
    for number, path in enumerate(results.paths):
        boxes = ImageBoxes(_truth_of(results.truth, number), _predicted(_line_of(lines, path)["boxes"], numbers))
        images.append(_detected(path, boxes, results.classes, least))
        parts.append(np.column_stack((boxes.predicted[:, 4:6], boxes.partners >= 0)))
    rows = np.concatenate([np.zeros((0, 3)), *parts])
    wanted = np.bincount(results.truth.classes.astype(int), minlength=len(results.classes))
    return images, MatchedPredictions(rows[:, 0], rows[:, 1].astype(int), rows[:, 2] > 0, wanted)


def _detected(path: str, boxes: ImageBoxes, classes: Sequence[str], least: Array) -> _Image:
    """An image is bad by the boxes that are missed and false above the thresholds; of equal ones by what they score."""
    listed = boxes.predicted[:, 4] > least[boxes.predicted[:, 5].astype(int)]
    right = listed & (boxes.partners >= 0)
    false, missed = int((listed & ~right).sum()), len(boxes.truth) - int(right.sum())
    sure = float(boxes.predicted[listed & ~right, 4].max(initial=0))
    found = zip(boxes.predicted, boxes.partners, strict=True)
    content = {
        "path": path,
        "truth": [[int(row[0]), *_rounded(row[1:])] for row in boxes.truth],
        "found": [[int(row[5]), round(float(row[4]), 4), *_rounded(row[:4]), int(to)] for row, to in found][
            :BOXES_KEPT
        ],
        "missed": missed,
        "false": false,
        "right": int(right.sum()),
        "confused": _confused(boxes, listed & ~right, classes),
        "doubt": round(sure, 4),
    }
    pairs = Counter(confused_pairs(boxes, background=len(classes)))
    return _Image(missed + false + min(sure, 0.99), sure, pairs, content)


def _confused(boxes: ImageBoxes, false: NDArray[np.bool_], classes: Sequence[str]) -> list[list[str]]:
    """True and predicted class of the false boxes that lie on a true one of another class."""
    rows = boxes.predicted[false]
    overlaps = pairwise_iou(boxes.truth[:, 1:5], rows[:, :4])
    if not overlaps.size:
        return []
    pairs = {
        (int(boxes.truth[overlaps[:, column].argmax(), 0]), int(row[5]))
        for column, row in enumerate(rows)
        if overlaps[:, column].max() > MIN_IOU
    }
    return [[classes[truth], classes[found]] for truth, found in sorted(pairs) if truth != found]


def _classifier(
    results: ClassifierResults, lines: Mapping[str, Any], thresholds: Thresholds
) -> tuple[list[_Image], MatchedPredictions]:
    least = thresholds.of(results.classes)
    images = []
    for number, path in enumerate(results.paths):
        label, predicted = int(results.labels[number]), int(results.predicted[number])
        loss = -float(np.log(max(float(results.label_scores[number]), 1e-12)))
        score = round(float(results.scores[number]), 4)
        content: dict[str, Any] = {
            "path": path,
            "label": label,
            "predicted": predicted,
            "score": score,
            "label_score": round(float(results.label_scores[number]), 4),
            "loss": round(loss, 4),
            "sure": bool(score > least[predicted]),
            "top": [[each["label"], each["score"]] for each in _line_of(lines, path)["labels"]],
        }
        doubt = 0.0 if label == predicted else max(content["score"] - content["label_score"], 1e-4)
        images.append(_Image(loss, doubt, Counter([(label, predicted)]), content))
    wanted = np.bincount(results.labels, minlength=len(results.classes))
    right = results.predicted == results.labels
    return images, MatchedPredictions(results.scores, results.predicted, right, wanted)


def _curves(matched: MatchedPredictions) -> dict[str, Any]:
    """Precision, recall and F1 of each class above each of STEPS, and their means over the classes that are there.

    Null in place of the precision where nothing is predicted above.
    """
    found: dict[int, dict[str, list[float | None]]] = {}
    sums = np.zeros((3, len(STEPS)))
    for index in np.flatnonzero(matched.wanted):
        mine = matched.classes == index
        predicted = _above(matched.scores[mine])
        correct = _above(matched.scores[mine & matched.correct])
        wanted = int(matched.wanted[index])
        precision = np.divide(correct, predicted, out=np.zeros(len(STEPS)), where=predicted > 0)
        figures = np.stack((precision, correct / wanted, 2 * correct / (predicted + wanted)))
        sums += figures
        found[int(index)] = _series(figures, predicted)
    whole = _series(sums / max(len(found), 1), np.ones(len(STEPS)))
    return {"x": STEPS.tolist(), "all": whole, "classes": {str(index): each for index, each in found.items()}}


def _series(figures: Array, predicted: Array | NDArray[np.int_]) -> dict[str, list[float | None]]:
    precision, recall, f1 = ([round(float(value), 4) for value in row] for row in figures)
    known = [value if count else None for value, count in zip(precision, predicted, strict=True)]
    return {"precision": known, "recall": list(recall), "f1": list(f1)}


def _above(scores: Array) -> NDArray[np.int_]:
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), STEPS, side="right"))


def _line_of(lines: Mapping[str, Any], path: str) -> Any:
    try:
        return lines[path]
    except KeyError as error:
        raise ValueError(f"predictions.jsonl lacks the image {path[:80]!r}.") from error


def _numbers_of(classes: Sequence[str], labels: Iterable[str]) -> dict[str, int]:
    """The index in `classes` of each name that the model uses for one of them."""
    names = sorted(set(labels))
    try:
        pairs = match_classes(classes, names).pairs if names else ()
    except NoSharedClass:
        return {}
    return {names[theirs]: ours for ours, theirs in pairs}


def _truth_of(table: BoxTable, number: int) -> Array:
    start, end = np.searchsorted(table.images, [number, number + 1])
    return np.column_stack((table.classes[start:end], table.corners[start:end])).astype(float).reshape(-1, 5)


def _predicted(boxes: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Array:
    """Best first."""
    rows = [[*box["box"], box["score"], numbers[box["label"]]] for box in boxes if box["label"] in numbers]
    found = np.asarray(rows, float).reshape(-1, 6)
    return np.asarray(found[np.argsort(-found[:, 4], kind="stable")])


def _rounded(corners: Array) -> list[float]:
    return [round(float(edge), 1) for edge in corners]
