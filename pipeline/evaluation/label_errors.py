"""Finds labels that are likely wrong, from probabilities of a model that was trained without the label in question.

Confident learning (Northcutt, Jiang, Chuang, 2021): a linear head on fixed features is fitted on four of five parts of
the dataset and predicts the fifth. The reasons: docs/decisions/0012-suspect-labels.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.split_predictions import Floats

FOLDS = 5
DIMENSIONS = 256  # principal components that the head reads: more fit noise, and take longer
POWER = 3  # iterations of the randomised decomposition; two are enough where the first few components stand out
DECAY = 1e-3  # L2 penalty of the head, per image
# Of the head's gradient. At 1e-3 it fits the wrong labels too: of 5 % flipped ones in 20,000 synthetic images it
# ranked 67 % among the first 5 %; at 1e-2 it ranked 76 % there.
TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """`score`: the lead of the most probable other class over the label, -1 to 1. `flagged`: by confident learning."""

    index: int
    label: int
    suggested: int
    label_probability: float
    suggested_probability: float
    score: float
    flagged: bool


def rank_suspect_labels(labels: Sequence[int], probabilities: Floats) -> list[SuspectLabel]:
    """All images, most suspect first. `probabilities`: (N, classes), out of fold."""
    given = np.asarray(labels)
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    others = probabilities.copy()
    others[rows, given] = -1
    suggested = others.argmax(axis=1)
    rival = others[rows, suggested]
    usual = np.array([own[given == c].mean() if (given == c).any() else 1 for c in range(probabilities.shape[1])])
    # Confidently another class: at least as probable as that class is on average for the images labelled with it.
    flagged = (rival >= usual[suggested]) & (rival > own)
    order = np.argsort(own - rival, kind="stable")
    return [
        SuspectLabel(
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
    raise_if_cancelled: Callable[[], None] = lambda: None,
) -> Floats:
    """(N, classes) probabilities; no image nor any other of its group is in the part that its head was fitted on.

    `features`: (N, length). `groups`: one name per image, the same for equal images.
    """
    given = np.asarray(labels)
    folds = _folds(given, groups, seed=seed)
    probabilities = np.full((len(given), classes), 1 / classes)
    if (folds == folds[0]).all():
        return probabilities
    components = _components(np.asarray(features, dtype=np.float64), seed=seed)
    for fold in np.unique(folds):
        raise_if_cancelled()
        held_out = folds == fold
        probabilities[held_out] = _predicted(components[~held_out], given[~held_out], components[held_out], classes)
    return probabilities


def _folds(labels: NDArray[np.int_], groups: Sequence[str], *, seed: int) -> NDArray[np.int_]:
    """Each class is spread evenly; the first label of a group decides for all of its images."""
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
    """Principal components with a common scale, unit variance on average. No label is involved.

    Randomised: the whole decomposition takes 10 s for 2000 features, however few images there are.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    keep = min(DIMENSIONS, *scaled.shape)
    pca = PCA(keep, svd_solver="randomized", iterated_power=POWER, random_state=seed)
    components = pca.fit_transform(scaled)
    return np.asarray(components / max(float(components.std()), 1e-6))


def _predicted(known: Floats, labels: NDArray[np.int_], unknown: Floats, classes: int) -> Floats:
    """(unknown, classes): multinomial logistic regression in which all classes weigh the same."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    probabilities = np.zeros((len(unknown), classes))
    if len(present) < 2:  # nothing to separate
        probabilities[:, present] = 1
        return probabilities
    head = LogisticRegression(C=1 / (DECAY * len(labels)), class_weight="balanced", tol=TOLERANCE)
    probabilities[:, present] = head.fit(known, labels).predict_proba(unknown)
    return probabilities
