"""A trained classifier that predicts the class of an image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.dataset.predictions import PredictedLabel
from pipeline.evaluation.split_predictions import softmax
from pipeline.trainers.classifier.data import upright
from pipeline.trainers.classifier.tensors import input_side

TOP = 5


class ClassifierPredictor:
    """See `pipeline.trainers.Predictor`."""

    def __init__(self, network: nn.Module, processor: Any, classes: tuple[str, ...]) -> None:
        self._network, self._processor, self.classes = network, processor, classes
        self.input_size = input_side(processor)

    def predict(self, image: Path, *, min_score: float = 0.0) -> list[PredictedLabel]:
        """The five most probable classes, best first."""
        pixels = self._processor(upright(image), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            scores = softmax(self._network(pixel_values=pixels).logits[0].float().numpy())
        best = scores.argsort()[::-1][:TOP]
        return [PredictedLabel(self.classes[i], int(i), float(scores[i])) for i in best if scores[i] >= min_score]

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, classes): logits."""
        with torch.inference_mode():
            return np.asarray(self._network(pixel_values=torch.from_numpy(batch)).logits.float().numpy())
