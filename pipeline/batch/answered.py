"""An image of a batch with its answer."""

from dataclasses import dataclass

from pipeline.batch.images import BatchImage
from pipeline.predictor.predictor import Prediction, PredictionFailed


@dataclass(frozen=True, slots=True)
class Answered:
    """`number`: its place in the batch, from 1 on. `content`: its bytes; empty where there are none."""

    number: int
    image: BatchImage
    content: bytes
    result: Prediction | PredictionFailed
