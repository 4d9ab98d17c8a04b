"""Searches a dataset for wrong labels, by features that were made without its labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.evaluation.classifier_evaluation import ImageReference, LabelErrorSearch
from pipeline.evaluation.descriptors import LENGTH, SIDE, describe_image
from pipeline.evaluation.label_errors import out_of_fold, rank_suspect_labels
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import SplitImages, Tree


def search_label_errors(tree: Tree, features: Any, report: Reporter, *, described: str, seed: int) -> LabelErrorSearch:
    """`features` (N, length) of the images of all splits, in the order of `each_image`. Raises RunCancelled."""
    splits = list(tree.splits.values())
    labels = [label for split in splits for label in split.labels]
    digests = [digest for split in splits for digest in split.digests]
    probabilities = out_of_fold(
        features, labels, digests, len(tree.classes), seed=seed, raise_if_cancelled=report.raise_if_cancelled
    )
    return LabelErrorSearch(
        images=tuple(
            ImageReference(split, index, path)
            for split, one in tree.splits.items()
            for index, path in enumerate(one.paths)
        ),
        ranked=tuple(rank_suspect_labels(labels, probabilities)),
        accuracy=float((probabilities.argmax(axis=1) == np.asarray(labels)).mean()),
        features=described,
        openers={split: one.open for split, one in tree.splits.items()},
    )


def search_by_descriptors(tree: Tree, report: Reporter, *, seed: int) -> LabelErrorSearch:
    """As `search_label_errors`, by features that no training has made. Raises RunCancelled."""
    rows = list(each_image(tree))
    features = np.empty((len(rows), LENGTH), dtype=np.float32)
    for row, (images, index) in enumerate(rows):
        if row % 16 == 0:
            report.raise_if_cancelled()
        features[row] = describe_image(images.open_small(index, SIDE))
    return search_label_errors(tree, features, report, described="gradients and colours", seed=seed)


def each_image(tree: Tree) -> Iterator[tuple[SplitImages, int]]:
    """The images of all splits, split by split."""
    return ((images, index) for images in tree.splits.values() for index in range(len(images)))
