"""Calibration: how far the confidence of a model is from its accuracy, with the bins of a reliability diagram."""

from typing import Any

import numpy as np

from pipeline.evaluation.split_predictions import SplitPredictions

BINS = 15  # of equal width, as in Guo et al., On Calibration of Modern Neural Networks, 2017


def calibration(predictions: SplitPredictions) -> dict[str, Any]:
    """`ece`: mean distance of confidence and accuracy over the bins, weighted by images. Empty bins are left out."""
    confidence = predictions.probabilities.max(axis=1)
    correct = predictions.predicted == predictions.labels
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [_bin(index, confidence[at == index], correct[at == index]) for index in range(BINS) if (at == index).any()]
    distance = sum(each["images"] * abs(each["accuracy"] - each["confidence"]) for each in bins)
    return {"ece": round(distance / len(correct), 5), "bins": bins}


def _bin(index: int, confidence: Any, correct: Any) -> dict[str, Any]:
    return {
        "from": round(index / BINS, 4),
        "to": round((index + 1) / BINS, 4),
        "images": len(correct),
        "confidence": round(float(confidence.mean()), 5),
        "accuracy": round(float(correct.mean()), 5),
    }
