"""The predictions of a classifier on one split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SplitPredictions:
    """`paths` and `labels` have N entries, `probabilities` is (N, classes); each of its rows sums to 1."""

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int_]
    probabilities: Floats

    @property
    def predicted(self) -> NDArray[np.int_]:
        """(N,) ids of the most probable classes."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def label_probabilities(self) -> Floats:
        """(N,) probabilities of the labels."""
        return np.asarray(self.probabilities[np.arange(len(self.labels)), self.labels])


def softmax(logits: NDArray[Any]) -> Floats:
    """Along the last axis, in double precision."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
