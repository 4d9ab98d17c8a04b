"""The predictions of a classifier for the images of a split."""

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.evaluation.split_predictions import SplitPredictions, softmax
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import SplitImages
from pipeline.trainers.classifier.tensors import Processed, collate


def predict_split(
    model: nn.Module,
    processor: Any,
    images: SplitImages,
    classes: tuple[str, ...],
    report: Reporter,
    *,
    batch: int,
    device: torch.device,
) -> tuple[SplitPredictions, dict[str, float]]:
    """Predictions in the order of the images, and the mean ms per image of each step. Raises RunCancelled."""
    data = Processed(images, processor)
    model = model.to(device).eval()
    logits, seconds = [], {"preprocess": 0.0, "inference": 0.0}
    for start in range(0, len(images), batch):
        report.raise_if_cancelled()
        began = time.perf_counter()
        inputs = collate([data[index] for index in range(start, min(start + batch, len(images)))])
        loaded = time.perf_counter()
        with torch.inference_mode():
            logits.append(model(pixel_values=inputs["pixel_values"].to(device)).logits.float().cpu().numpy())
        seconds["preprocess"] += loaded - began
        seconds["inference"] += time.perf_counter() - loaded
    predictions = SplitPredictions(classes, images.paths, np.asarray(images.labels), softmax(np.concatenate(logits)))
    return predictions, {name: round(1000 * value / len(images), 3) for name, value in seconds.items()}
