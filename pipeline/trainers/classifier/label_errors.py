"""The search for wrong labels, from features of all images that have seen no label of this set."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.evaluation.label_errors import out_of_fold, rank_suspects
from pipeline.evaluation.outcome import Labelled, Suspected
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import SplitImages, Tree


def suspected_labels(tree: Tree, features: Any, report: Reporter, *, described: str, seed: int) -> Suspected:
    """`features` (N, length) of the images of all splits, in the order of `each_image`. Raises RunCancelled."""
    images = list(tree.splits.values())
    labels = [label for split in images for label in split.labels]
    digests = [digest for split in images for digest in split.digests]
    probabilities = out_of_fold(
        features, labels, digests, len(tree.classes), seed=seed, check=report.raise_if_cancelled
    )
    return Suspected(
        labelled=tuple(
            Labelled(split, index, path) for split, one in tree.splits.items() for index, path in enumerate(one.paths)
        ),
        ranked=tuple(rank_suspects(labels, probabilities)),
        accuracy=float((probabilities.argmax(axis=1) == np.asarray(labels)).mean()),
        features=described,
        openers={split: one.open for split, one in tree.splits.items()},
    )


def each_image(tree: Tree) -> Iterator[tuple[SplitImages, int]]:
    """Split by split."""
    return ((images, index) for images in tree.splits.values() for index in range(len(images)))
