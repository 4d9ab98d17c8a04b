"""What an export may differ from the model it was made of, by precision: one table, with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.export.catalogue import Precision


@dataclass(frozen=True, slots=True)
class Bounds:
    """`equal`: the least share of equal predictions: the same class, IoU above `iou`, scores within `score`.
    `drop`: the most that mAP50-95 or accuracy may fall. `output`: the largest difference of an output (a probability or
    a score), for the same input. `batch`: of an output in a batch and alone. `tie`: two classes whose probabilities
    differ by no more may change places, because the last digit of a resize decides between them; the metric may fall by
    these images besides."""

    equal: float
    iou: float
    score: float
    drop: float
    output: float
    batch: float
    tie: float


BOUNDS: Mapping[Precision, Bounds] = {
    # Another order of additions changes the sixth digit. One of 200 predictions may lie at a threshold.
    "fp32": Bounds(equal=0.995, iou=0.98, score=0.01, drop=0.002, output=1e-3, batch=1e-3, tie=0.01),
    # Half precision has three digits: corners move by tenths of a pixel, scores by thousandths.
    "fp16": Bounds(equal=0.97, iou=0.98, score=0.03, drop=0.005, output=0.05, batch=0.01, tie=0.03),
    # bfloat16 has two to three digits, and each layer rounds to them: corners move by a pixel, scores by hundredths.
    "bf16": Bounds(equal=0.95, iou=0.95, score=0.05, drop=0.005, output=0.2, batch=0.02, tie=0.05),
    # 256 steps for all values of a layer: corners move by pixels, and one uncertain score by any amount. What is lost
    # shows in the metric, whose fall decides (`max_drop`). The others find a broken file: a yolov8n whose head was
    # quantised as well found nothing. Alone and in a batch the same integers are computed.
    "int8": Bounds(equal=0.6, iou=0.85, score=0.2, drop=0.01, output=1.0, batch=0.05, tie=0.0),
}
