"""What an export may differ from the model it was made of, by precision: one table, with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.export.catalogue import Precision


@dataclass(frozen=True, slots=True)
class Bounds:
    """`equal`: the least share of equal predictions: the same class, IoU above `iou`, scores within `score`.
    `drop`: the most that mAP50-95 or accuracy may fall. `output`: the largest difference of an output (a probability or
    a score), for the same input."""

    equal: float
    iou: float
    score: float
    drop: float
    output: float


BOUNDS: Mapping[Precision, Bounds] = {
    # Another order of additions changes the sixth digit. One of 200 predictions may lie at a threshold.
    "fp32": Bounds(equal=0.995, iou=0.98, score=0.01, drop=0.002, output=1e-3),
    # Half precision has three digits: corners move by tenths of a pixel, scores by thousandths.
    "fp16": Bounds(equal=0.97, iou=0.98, score=0.03, drop=0.005, output=0.05),
}
