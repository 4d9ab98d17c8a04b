"""The bootstrap of all resamples at once, against the plain computation of each, and against a known distribution."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import (
    draw_resamples,
    interval_of_change,
    interval_of_share,
    intervals_of_precision,
    precisions_of_resamples,
)
from pipeline.evaluation.detection_metrics import ImageBoxes, mean_precision, scored_boxes

CLASSES = 4


def images_of(count: int, *, seed: int = 0, noise: float = 4.0) -> list[ImageBoxes]:
    """Boxes with predictions near them, some missed, some of another class, some of nothing; and a rare class."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        corners = rng.uniform(0, 200, (rng.integers(0, 6), 2))
        classes = rng.choice(CLASSES, len(corners), p=[0.5, 0.3, 0.18, 0.02])
        truth = np.column_stack((classes, corners, corners + 40)).astype(float)
        near = truth[rng.random(len(truth)) < 0.85]
        false = rng.uniform(0, 200, (rng.integers(0, 8), 2))
        boxes = np.concatenate((near[:, 1:] + rng.normal(0, noise, (len(near), 4)), np.hstack((false, false + 40))))
        found = np.concatenate((near[:, 0], rng.integers(0, CLASSES, len(false))))
        scores = np.concatenate((rng.beta(5, 2, len(near)), rng.beta(2, 5, len(false))))
        images.append(ImageBoxes(truth, np.column_stack((boxes, scores, found))))
    return images


def test_each_resample_has_the_precision_of_its_images() -> None:
    images = images_of(40)
    weights = draw_resamples(len(images))[:25]
    found = precisions_of_resamples(scored_boxes(images, CLASSES), weights).mean(axis=1)
    expected = [
        mean_precision([image for image, times in zip(images, row, strict=True) for _ in range(times)], CLASSES)
        for row in weights
    ]
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_figure_lies_in_its_interval_which_narrows_with_more_images() -> None:
    few, many = images_of(40), images_of(320)
    narrow, wide = (intervals_of_precision(scored_boxes(each, CLASSES))["mAP50-95"] for each in (many, few))
    assert narrow.low < mean_precision(many, CLASSES) < narrow.high
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_a_change_is_measured_on_the_same_images() -> None:
    before, after = (scored_boxes(images_of(100, noise=noise), CLASSES) for noise in (4.0, 4.2))
    same, changed = interval_of_change(before, before), interval_of_change(before, after)
    assert (same.low, same.high) == (0, 0)
    alone = intervals_of_precision(before)["mAP50-95"]
    assert changed.high - changed.low < 0.5 * (alone.high - alone.low)


def test_the_interval_of_a_share_is_that_of_its_binomial_distribution() -> None:
    found = interval_of_share(np.arange(400) < 320)
    assert (found.low, found.high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.006)
    perfect = interval_of_share(np.ones(29, bool))
    assert (perfect.low, perfect.high) == pytest.approx((0.883, 1.0), abs=1e-3)


@pytest.mark.parametrize("images", [[ImageBoxes(np.zeros((0, 5)), np.zeros((0, 6)))], images_of(3)[:1]])
def test_one_image_with_or_without_boxes_has_an_interval(images: list[ImageBoxes]) -> None:
    found = intervals_of_precision(scored_boxes(images, CLASSES))["mAP50-95"]
    assert found.low == found.high == pytest.approx(mean_precision(images, CLASSES))
