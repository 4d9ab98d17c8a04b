"""Labels that are likely wrong, from probabilities that each image got from a model which never saw its label.

Confident learning (Northcutt, Jiang, Chuang, 2021): a cheap head on fixed features, once for each of five parts of the
set, trained on the other four. Why so: docs/decisions/0012-suspect-labels.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.evaluated import Floats, softmax

FOLDS = 5
DIMENSIONS = 256  # principal components that the head sees: more fits noise, and takes longer
POWER = 3  # rounds of the search for them; two are enough where the first few stand out
STEPS, RATE, DECAY = 150, 0.1, 1e-3  # of Adam over all images at once; enough for a linear head to settle


@dataclass(frozen=True, slots=True)
class Suspect:
    """`score`: how far the most probable other class is ahead, -1 to 1. `flagged`: by confident learning."""

    index: int
    label: int
    suggested: int
    label_probability: float
    suggested_probability: float
    score: float
    flagged: bool


def rank_suspects(labels: Sequence[int], probabilities: Floats) -> list[Suspect]:
    """Every image, the likeliest wrong first. `probabilities`: (N, classes), out of sample."""
    given = np.asarray(labels)
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    others = probabilities.copy()
    others[rows, given] = -1
    suggested = others.argmax(axis=1)
    rival = others[rows, suggested]
    usual = np.array([own[given == c].mean() if (given == c).any() else 1 for c in range(probabilities.shape[1])])
    # Confidently another class: at least as sure of it as the model usually is where that is the label.
    flagged = (rival >= usual[suggested]) & (rival > own)
    order = np.argsort(own - rival, kind="stable")
    return [
        Suspect(
            index=int(i),
            label=int(given[i]),
            suggested=int(suggested[i]),
            label_probability=round(float(own[i]), 5),
            suggested_probability=round(float(rival[i]), 5),
            score=round(float(rival[i] - own[i]), 5),
            flagged=bool(flagged[i]),
        )
        for i in order
    ]


def out_of_fold(
    features: NDArray[Any],
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> Floats:
    """(N, classes). `groups`: equal images share one, and are never on both sides of a fold. `check` may raise."""
    given = np.asarray(labels)
    reduced = _components(np.asarray(features, dtype=np.float64), seed=seed)
    folds = _folds(given, groups, seed=seed)
    probabilities = np.full((len(given), classes), 1 / classes)
    for fold in range(FOLDS):
        away = folds == fold
        if away.any() and not away.all():
            probabilities[away] = _fit_and_judge(reduced[~away], given[~away], reduced[away], classes, check)
    return probabilities


def _folds(labels: NDArray[np.int_], groups: Sequence[str], *, seed: int) -> NDArray[np.int_]:
    """Each class spread evenly; the first label of a group decides where its images go."""
    first: dict[str, int] = {}
    for index, group in enumerate(groups):
        first.setdefault(group, index)
    fold_of: dict[str, int] = {}
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        names = [group for group, index in first.items() if labels[index] == label]
        start = int(rng.integers(FOLDS))
        for place, at in enumerate(rng.permutation(len(names))):
            fold_of[names[at]] = (place + start) % FOLDS
    return np.array([fold_of[group] for group in groups])


def _components(features: Floats, *, seed: int) -> Floats:
    """Principal components, unit variance on average, found by random projection (Halko, Martinsson, Tropp, 2011):
    the whole decomposition takes 10 s for 2000 features, however few images there are. No label is involved."""
    scaled = features - features.mean(axis=0)
    scaled /= np.maximum(scaled.std(axis=0), 1e-6)
    keep = min(DIMENSIONS, *scaled.shape)
    basis = np.random.default_rng(seed).normal(size=(scaled.shape[1], min(keep + 32, *scaled.shape)))
    for _ in range(POWER):
        basis = np.linalg.qr(scaled.T @ (scaled @ basis))[0]
    _, _, rows = np.linalg.svd(scaled @ basis, full_matrices=False)
    projected = scaled @ basis @ rows[:keep].T
    return np.asarray(projected / max(float(projected.std()), 1e-6))


def _fit_and_judge(
    known: Floats, labels: NDArray[np.int_], unknown: Floats, classes: int, check: Callable[[], None]
) -> Floats:
    """Multinomial logistic regression, all classes weighing the same."""
    counts = np.bincount(labels, minlength=classes)
    weights = (len(labels) / (np.maximum(counts, 1) * max(1, int((counts > 0).sum()))))[labels]
    wanted = np.eye(classes)[labels]
    known, unknown = _with_one(known), _with_one(unknown)
    head = np.zeros((known.shape[1], classes))
    mean, square = np.zeros_like(head), np.zeros_like(head)
    for step in range(1, STEPS + 1):
        check()
        error = (softmax(known @ head) - wanted) * weights[:, None]
        slope = known.T @ error / len(known) + DECAY * head
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        head = head - RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return softmax(unknown @ head)


def _with_one(features: Floats) -> Floats:
    return np.hstack((features, np.ones((len(features), 1))))
