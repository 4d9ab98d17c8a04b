"""How two models differ in their predictions for the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.evaluation.bootstrap import draw_resamples, interval_of, interval_of_change, share_of_resamples
from pipeline.evaluation.detection_metrics import ImageBoxes, mean_precision, pairwise_iou, scored_boxes
from pipeline.export.bounds import Bounds

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`compared` predictions, of which `equal` are; `ties`: of these, those whose two best classes changed places."""

    compared: int
    equal: int
    ties: int = 0

    @property
    def share(self) -> float:
        return self.equal / self.compared if self.compared else 1.0


def agreement_of_boxes(
    wanted: Sequence[PredictedBox], found: Sequence[PredictedBox], bounds: Bounds, *, thresholds: Sequence[float]
) -> Agreement:
    """Every box of either side is compared, unless its score is so near the threshold of its class that chance decides.

    Both sides are above their thresholds.
    """
    certain = [threshold + bounds.score for threshold in thresholds]
    left = list(found)
    equal = compared = 0
    for box in sorted(wanted, key=lambda each: -each.score):
        match = _match(box, left, bounds)
        if match is not None:
            left.remove(match)
            equal += 1
        compared += match is not None or box.score > certain[box.class_index]
    return Agreement(compared + sum(box.score > certain[box.class_index] for box in left), equal)


def count_equal(wanted: Sequence[PredictedBox], found: Sequence[PredictedBox], bounds: Bounds) -> int:
    """How many of `wanted`, best first, have an equal one in `found`; each of those is taken once."""
    left = list(found)
    for box in wanted:
        match = _match(box, left, bounds)
        if match is not None:
            left.remove(match)
    return len(found) - len(left)


def agreement_of_labels(wanted: Sequence[PredictedLabel], found: Sequence[PredictedLabel], bounds: Bounds) -> Agreement:
    """One prediction: the most probable class, and its probability; or another class that is as probable."""
    best, other = wanted[0], found[0]
    if best.class_index == other.class_index:
        return Agreement(1, int(abs(best.score - other.score) <= bounds.score))
    as_before = [each.score for each in wanted if each.class_index == other.class_index]
    tie = (
        bool(as_before) and best.score - as_before[0] <= bounds.tie and abs(as_before[0] - other.score) <= bounds.score
    )
    return Agreement(1, int(tie), int(tie))


def change_of_precision(
    before: Sequence[ImageBoxes], after: Sequence[ImageBoxes], classes: int
) -> tuple[float, float, float]:
    """The change of mAP50-95, and its 95 % interval by a paired bootstrap over the images."""
    change = mean_precision(after, classes) - mean_precision(before, classes)
    interval = interval_of_change(scored_boxes(before, classes), scored_boxes(after, classes))
    return change, interval.low, interval.high


def change_of_accuracy(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    """(N,) whether each image is right -> the change of accuracy, and its interval as above."""
    differences = after.astype(float) - before.astype(float)
    interval = interval_of(share_of_resamples(differences, draw_resamples(len(differences))))
    return float(differences.mean()), interval.low, interval.high


def _match(box: PredictedBox, others: Sequence[PredictedBox], bounds: Bounds) -> PredictedBox | None:
    """The other one of the same class that overlaps most, if both are equal within the bounds."""
    same = [each for each in others if each.class_index == box.class_index]
    if not same:
        return None
    overlaps = pairwise_iou(_corners([box]), _corners(same))[0]
    best = same[int(overlaps.argmax())]
    return best if overlaps.max() > bounds.iou and abs(best.score - box.score) <= bounds.score else None


def _corners(boxes: Sequence[PredictedBox]) -> Array:
    return np.array([[box.x1, box.y1, box.x2, box.y2] for box in boxes])
