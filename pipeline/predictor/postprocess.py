"""Output of the model to boxes or probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import OF_CLASSIFIERS, MetadataInvalid, Output, OutputForm
from pipeline.predictor.preprocess import Placement

Rows = NDArray[np.float32]
_MAX_CANDIDATES = 30_000  # as ultralytics: the best ones
CLASS_OFFSET = 7680.0  # pixels between the classes of one suppression, as ultralytics


class OutputInvalid(ValueError):
    """What the model answers for an image has no meaning; the message says why."""


def require_form(raw: Rows, *, images: int, output: Output, classes: int) -> None:
    """Raises MetadataInvalid for the answer to a batch that is not as `output` describes it."""
    found, ways = raw.shape, {"anchors": (1, 4 + classes), "queries": (2, 4 + classes)}
    ways |= {"ranked-queries": (2, 6), "kept-boxes": (2, 6)}
    axis, length = ways.get(output.form, (1, classes))
    dimensions = 2 if output.form in OF_CLASSIFIERS else 3
    if len(found) != dimensions or found[0] != images or found[axis] != length:
        raise MetadataInvalid(
            f"The model answers {found} to {images} images: with {classes} classes that is not {output.form}."
        )


def boxes_of(raw: Rows, output: Output, placement: Placement, size: tuple[int, int]) -> Rows:
    """(N, 6): x1, y1, x2, y2 in pixels of the upright image, score, class; best first.

    `raw`: of one image, by `output.form`. `size`: width and height of the input. Raises OutputInvalid.
    """
    _require_finite(raw)
    match output.form:
        case "anchors":
            rows = suppress(candidates(raw.T, output.lowest), iou=output.iou, at_most=output.max_boxes)
        case "queries":
            rows = candidates(raw, output.lowest)
            rows[:, :4] *= np.array([*size, *size], np.float32)
            rows = rows[np.argsort(-rows[:, 4], kind="stable")][: output.max_boxes]
        case "ranked-queries":
            rows = raw[raw[:, 4] > output.lowest][: output.max_boxes].astype(np.float32)
            half = rows[:, 2:4] / 2
            rows[:, :4] = np.hstack((rows[:, :2] - half, rows[:, :2] + half)) * np.array([*size, *size], np.float32)
        case _:
            rows = raw[raw[:, 4] > output.lowest][: output.max_boxes].astype(np.float32)
    if output.thresholds:
        rows = _above(rows, output.thresholds)
    rows[:, :4] = placement.to_image(rows[:, :4])
    return rows


def suppress(rows: Rows, *, iou: float, at_most: int) -> Rows:
    """Greedy non-maximum suppression within each class: of two boxes with a larger IoU the one of lower score goes."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")][:_MAX_CANDIDATES]
    corners = rows[:, :4] + rows[:, 5:6] * CLASS_OFFSET
    x1, y1, x2, y2 = corners.T
    areas = (x2 - x1) * (y2 - y1)
    left = np.arange(len(rows))
    kept: list[int] = []
    while len(left) and len(kept) < at_most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        left = left[shared <= iou * (areas[best] + areas[left] - shared)]
    return rows[kept]


def probabilities(raw: Rows, form: OutputForm) -> NDArray[np.float64]:
    """Of `logits` the softmax over the last axis, `probabilities` as they are. Raises OutputInvalid."""
    _require_finite(raw)
    values = raw.astype(np.float64)
    if form == "probabilities":
        return values
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _require_finite(values: Rows) -> None:
    if not np.isfinite(values).all():
        raise OutputInvalid("The model's answer for the image has numbers that are not finite.")


def _above(rows: Rows, thresholds: Sequence[float]) -> Rows:
    """The boxes above the thresholds of their classes. Raises OutputInvalid."""
    classes = rows[:, 5]
    if len(rows) and not 0 <= classes.min() <= classes.max() < len(thresholds):
        raise OutputInvalid(f"The model's answer for the image has a class beyond its {len(thresholds)}.")
    return np.asarray(rows[rows[:, 4] > np.asarray(thresholds, np.float32)[classes.astype(int)]])


def candidates(rows: Rows, min_score: float) -> Rows:
    """(N, 4 + classes) -> (M, 6): corners, best score, its class; those above `min_score`."""
    scores = rows[:, 4:]
    best = scores.max(axis=1)
    above = best > min_score
    rows, best = rows[above], best[above]
    half = rows[:, 2:4] / 2
    centre = rows[:, :2]
    classes = rows[:, 4:].argmax(axis=1)
    return np.column_stack((centre - half, centre + half, best, classes)).astype(np.float32)
