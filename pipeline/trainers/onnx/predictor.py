"""An imported ONNX file that predicts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import WeightsUnavailable
from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed

THREADS = 2


class OnnxPredictor:
    """See `pipeline.trainers.Predictor`. Raises WeightsUnavailable."""

    def __init__(self, file: Path) -> None:
        try:
            self.export = ExportPredictor(file, threads=THREADS)
        except (MetadataInvalid, OSError, RuntimeError) as error:
            raise WeightsUnavailable(f"{file.name} is no ONNX file of a version: {error}") from error
        self.classes = self.export.metadata.classes

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedBox] | list[PredictedLabel]:
        """`min_score`: by default that of the description. Raises ValueError for an image that cannot be decoded."""
        result = self.predicted(image.read_bytes(), min_score=min_score)
        if self.export.metadata.kind == "detection":
            return list(result.boxes)
        return [each for each in result.labels if each.score >= (min_score or 0.0)]

    def predicted(self, image: bytes, *, min_score: float | None = None, top: int = 5) -> Prediction:
        (result,) = self.export.predict([image], min_score=min_score, top=top)
        if isinstance(result, PredictionFailed):
            raise ValueError(result.reason)
        return result

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.export.raw(batch)
