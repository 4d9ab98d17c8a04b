"""A trained detector that predicts boxes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics import RTDETR, YOLO

from pipeline.dataset.predictions import PredictedBox
from pipeline.evaluation.thresholds import Thresholds, choose_thresholds
from pipeline.predictor.metadata import Output
from pipeline.predictor.validation import measured_boxes
from pipeline.trainers.yolo import vendor
from pipeline.trainers.yolo.onnx_export import output_form, preprocessing_of
from pipeline.trainers.yolo.weights import is_rtdetr, model_in, read_weights

_QUIETENED = vendor.VERSIONS  # vendor is imported for its effect: it quietens ultralytics


class YoloPredictor:
    """See `pipeline.trainers.Predictor`. Raises WeightsUnavailable for a file that is not a safe weights file."""

    def __init__(self, weights: Path, thresholds: Thresholds | None) -> None:
        model = model_in(read_weights(weights))
        self.input_size = int(model.args["imgsz"]) if isinstance(model.args, dict) else 640
        self.classes = tuple(str(model.names[index]) for index in range(len(model.names)))
        self.thresholds = (thresholds or choose_thresholds(None, self.classes, kind="detection")).of(self.classes)
        rtdetr = is_rtdetr(model)
        self._preprocessing = preprocessing_of(self.input_size, model, is_rtdetr=rtdetr)
        self._output = Output(output_form(is_rtdetr=rtdetr))
        self._model = (RTDETR if rtdetr else YOLO)(str(weights))

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedBox]:
        thresholds = self.thresholds if min_score is None else (min_score,) * len(self.classes)
        options: dict[str, Any] = {"conf": min(thresholds), "imgsz": self.input_size, "verbose": False, "save": False}
        result = self._model.predict(str(image), **options)[0]
        rows = zip(result.boxes.cls.int().tolist(), result.boxes.conf.tolist(), result.boxes.xyxy.tolist(), strict=True)
        boxes = [
            PredictedBox(self.classes[index], index, score, *corners)
            for index, score, corners in rows
            if score > thresholds[index]
        ]
        return sorted(boxes, key=lambda box: -box.score)

    def measured(self, content: bytes) -> NDArray[np.float32]:
        """The boxes that an evaluation counts; see `pipeline.predictor.validation`."""
        return measured_boxes(content, self._preprocessing, self._output, self.raw)

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, 4 + classes, N), of RT-DETR (B, N, 6)."""
        network = self._model.model.float().eval()
        with torch.inference_mode():
            found = network(torch.from_numpy(batch))
        return np.asarray((found[0] if isinstance(found, tuple | list) else found).numpy())
