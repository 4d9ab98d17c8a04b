"""Whether a model is as often right as it says: expected calibration error and the bins of a reliability diagram."""

from typing import Any

import numpy as np

from pipeline.evaluation.evaluated import Judged

BINS = 15  # of equal width, as in Guo et al., On Calibration of Modern Neural Networks, 2017


def calibration(judged: Judged) -> dict[str, Any]:
    """`ece`: mean distance between score and accuracy over the bins, by their images. Only bins with images."""
    confidence = judged.probabilities.max(axis=1)
    right = judged.predicted == judged.labels
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [_bin(index, confidence[at == index], right[at == index]) for index in range(BINS) if (at == index).any()]
    distance = sum(each["images"] * abs(each["accuracy"] - each["score"]) for each in bins)
    return {"ece": round(distance / len(right), 5), "bins": bins}


def _bin(index: int, confidence: Any, right: Any) -> dict[str, Any]:
    return {
        "from": round(index / BINS, 4),
        "to": round((index + 1) / BINS, 4),
        "images": len(right),
        "score": round(float(confidence.mean()), 5),
        "accuracy": round(float(right.mean()), 5),
    }
