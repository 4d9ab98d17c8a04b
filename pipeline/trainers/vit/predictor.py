"""A trained vit classifier that predicts the class of an image."""

from pathlib import Path

import torch

from pipeline.dataset.predictions import PredictedLabel
from pipeline.evaluation.split_predictions import softmax
from pipeline.trainers.classifier.data import upright
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.vit.models import class_names, read_published_vit

TOP = 5


class VitPredictor:
    """See `pipeline.trainers.Predictor`. Raises WeightsUnavailable for anything but a model of the vit trainer."""

    def __init__(self, model: Path) -> None:
        self._model, self._processor = read_published_vit(model)
        self.classes = class_names(self._model)
        self.input_size = input_side(self._processor)

    def predict(self, image: Path, *, min_score: float = 0.0) -> list[PredictedLabel]:
        """The five most probable classes, best first."""
        pixels = self._processor(upright(image), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            scores = softmax(self._model(pixel_values=pixels).logits[0].float().numpy())
        best = scores.argsort()[::-1][:TOP]
        return [PredictedLabel(self.classes[i], int(i), float(scores[i])) for i in best if scores[i] >= min_score]
