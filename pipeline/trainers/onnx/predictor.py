"""An imported ONNX file that predicts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import WeightsUnavailable
from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.evaluation.thresholds import Thresholds
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import TOP, ExportPredictor, Prediction, PredictionFailed

THREADS = 2


class OnnxPredictor:
    """See `pipeline.trainers.Predictor`. `thresholds`: instead of those of the file. Raises WeightsUnavailable."""

    def __init__(self, file: Path, thresholds: Thresholds | None = None) -> None:
        try:
            self.export = ExportPredictor(file, threads=THREADS)
        except (MetadataInvalid, OSError, RuntimeError) as error:
            raise WeightsUnavailable(f"{file.name} is no ONNX file of a version: {error}") from error
        self.classes = self.export.metadata.classes
        self.thresholds = self.export.thresholds if thresholds is None else thresholds.of(self.classes)

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedBox] | list[PredictedLabel]:
        """Raises ValueError for an image that cannot be decoded."""
        thresholds = self.thresholds if min_score is None else (min_score,) * len(self.classes)
        if self.export.metadata.kind == "detection":
            boxes = self.predicted(image.read_bytes(), min_score=min(thresholds)).boxes
            return [box for box in boxes if box.score > thresholds[box.class_index]]
        labels = self.predicted(image.read_bytes(), min_score=min_score or 0.0).labels
        return [replace(label, threshold=thresholds[label.class_index]) for label in labels]

    def predicted(self, image: bytes, *, min_score: float, top: int = TOP) -> Prediction:
        """Boxes above `min_score` of every class, or the `top` most probable classes. Raises ValueError as above."""
        (result,) = self.export.predict([image], min_score=min_score, top=top)
        if isinstance(result, PredictionFailed):
            raise ValueError(result.reason)
        return result

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.export.raw(batch)
