"""A trained classifier that predicts the class of an image."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.dataset.predictions import PredictedLabel
from pipeline.evaluation.split_predictions import softmax
from pipeline.evaluation.thresholds import Thresholds, choose_thresholds
from pipeline.trainers.classifier.data import upright
from pipeline.trainers.classifier.tensors import input_side

TOP = 5


class ClassifierPredictor:
    """See `pipeline.trainers.Predictor`."""

    def __init__(
        self, network: nn.Module, processor: Any, classes: tuple[str, ...], thresholds: Thresholds | None
    ) -> None:
        self._network, self._processor, self.classes = network, processor, classes
        self.input_size = input_side(processor)
        self.thresholds = (thresholds or choose_thresholds(None, classes, kind="classification")).of(classes)

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedLabel]:
        """The five most probable classes, best first."""
        thresholds = self.thresholds if min_score is None else (min_score,) * len(self.classes)
        pixels = self._processor(upright(image), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            scores = softmax(self._network(pixel_values=pixels).logits[0].float().numpy())
        best = scores.argsort()[::-1][:TOP]
        labels = [PredictedLabel(self.classes[i], int(i), float(scores[i]), thresholds[i]) for i in best]
        return [label for label in labels if min_score is None or label.score >= min_score]

    def measured(self, content: bytes) -> NDArray[np.float32]:
        """(classes,): the probabilities for the bytes of an image."""
        pixels = self._processor(upright(io.BytesIO(content)), return_tensors="pt")["pixel_values"]
        return np.asarray(softmax(self.raw(pixels.numpy())[0]), np.float32)

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, classes): logits."""
        with torch.inference_mode():
            return np.asarray(self._network(pixel_values=torch.from_numpy(batch)).logits.float().numpy())
