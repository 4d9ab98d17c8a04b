"""How an answer differs from that of a receipt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.evaluation.detection_metrics import pairwise_iou
from pipeline.export.bounds import Bounds
from pipeline.export.comparison import agreement_of_boxes, agreement_of_labels
from pipeline.receipts.schema import ReceiptAnswer

Sameness = Literal["same", "within-bound", "other-answer"]
FACTS = ("error", "width", "height", "orientation", "tiles")
MATCHED = 0.5  # IoU from which two boxes are taken for the same object


@dataclass(frozen=True, slots=True)
class Comparison:
    """`largest_shift`: of a side of two boxes of the same object, in pixels of the image; `largest_score`: the largest
    difference of two scores. `missing`: predictions of the receipt alone, `added`: of the new answer alone."""

    sameness: Sameness
    largest_shift: float = 0.0
    largest_score: float = 0.0
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def compare(
    wanted: ReceiptAnswer, found: ReceiptAnswer, bounds: Bounds, thresholds: Sequence[float], classes: Sequence[str]
) -> Comparison:
    """`bounds`: those of the certificate. `thresholds`: those used, of each class. `classes`: those of the model."""
    if wanted == found:
        return Comparison("same")
    facts = tuple(
        f"{name}: {_value(wanted, name)} in the receipt, {_value(found, name)} here"
        for name in FACTS
        if getattr(wanted, name) != getattr(found, name)
    ) + tuple(dict.fromkeys(_other_names(wanted, classes)))
    if facts:
        return Comparison("other-answer", facts=facts)
    if wanted.labels or found.labels:
        return _of_labels(wanted.labels, found.labels, bounds)
    return _of_boxes(wanted.boxes, found.boxes, bounds, thresholds)


def _other_names(answer: ReceiptAnswer, classes: Sequence[str]) -> Iterator[str]:
    """Predictions whose class is none of the model, or is called otherwise there."""
    predictions: tuple[PredictedBox | PredictedLabel, ...] = (*answer.boxes, *answer.labels)
    for each in predictions:
        here = classes[each.class_index] if 0 <= each.class_index < len(classes) else "none"
        if each.label != here:
            yield f"class {each.class_index}: {each.label} in the receipt, {here} here"


def _value(answer: ReceiptAnswer, name: str) -> str:
    value = getattr(answer, name)
    return "none" if value is None else str(value)


def _of_labels(wanted: Sequence[PredictedLabel], found: Sequence[PredictedLabel], bounds: Bounds) -> Comparison:
    before, after = ({each.class_index: each for each in labels} for labels in (wanted, found))
    both = [(before[index].score, after[index].score) for index in before if index in after]
    largest = max((abs(one - other) for one, other in both), default=0.0)
    agree = bool(wanted and found) and agreement_of_labels(wanted, found, bounds).equal == 1
    within = agree and largest <= bounds.score
    return Comparison(
        "within-bound" if within else "other-answer",
        largest_score=largest,
        missing=tuple(_label(each) for each in wanted if each.class_index not in after),
        added=tuple(_label(each) for each in found if each.class_index not in before),
    )


def _of_boxes(
    wanted: Sequence[PredictedBox], found: Sequence[PredictedBox], bounds: Bounds, thresholds: Sequence[float]
) -> Comparison:
    left = list(found)
    pairs: list[tuple[PredictedBox, PredictedBox]] = []
    missing = []
    for box in wanted:
        match = _match(box, left)
        if match is None:
            missing.append(box)
            continue
        left.remove(match)
        pairs.append((box, match))
    agreement = agreement_of_boxes(wanted, found, bounds, thresholds=thresholds)
    return Comparison(
        "within-bound" if agreement.equal == agreement.compared else "other-answer",
        largest_shift=max((_shift(*pair) for pair in pairs), default=0.0),
        largest_score=max((abs(one.score - other.score) for one, other in pairs), default=0.0),
        missing=tuple(map(_box, missing)),
        added=tuple(map(_box, left)),
    )


def _match(box: PredictedBox, others: Sequence[PredictedBox]) -> PredictedBox | None:
    same = [each for each in others if each.class_index == box.class_index]
    if not same:
        return None
    overlaps = pairwise_iou(_corners([box]), _corners(same))[0]
    best = int(overlaps.argmax())
    return same[best] if overlaps[best] >= MATCHED else None


def _corners(boxes: Sequence[PredictedBox]) -> NDArray[np.float64]:
    return np.array([[box.x1, box.y1, box.x2, box.y2] for box in boxes])


def _shift(one: PredictedBox, other: PredictedBox) -> float:
    return float(np.abs(_corners([one]) - _corners([other])).max())


def _box(box: PredictedBox) -> str:
    return f"{box.label} {box.score:.3f} at {box.x1:.1f}, {box.y1:.1f} to {box.x2:.1f}, {box.y2:.1f}"


def _label(label: PredictedLabel) -> str:
    return f"{label.label} {label.score:.3f}"
