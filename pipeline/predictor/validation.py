"""The boxes that a detector is measured by, for one image: as the validation after a training takes them.

They differ from the boxes of a prediction in what ultralytics' validator does otherwise than its predictor: an image is
padded by half a stride more (data/base.py, set_rectangle: `pad=0.5`), a place may have several classes, boxes are not
clipped to the image, and all from a score of 0.001 are taken. A model whose input has a fixed size is given its images
as a prediction is, and of one with suppression inside only what it keeps can be measured.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.images import DecodedImage, decode
from pipeline.predictor.metadata import Output, Preprocessing
from pipeline.predictor.postprocess import suppress
from pipeline.predictor.preprocess import Placement, prepare, resize

LOWEST_SCORE = 0.001  # of the boxes that mAP takes, as ultralytics
IOU, MAX_BOXES = 0.7, 300
_MARGIN = 0.5  # strides
_WHITE = np.float32(255)

Rows = NDArray[np.float32]


def measured_boxes(content: bytes, preprocessing: Preprocessing, output: Output, run: Callable[[Rows], Rows]) -> Rows:
    """(N, 6): x1, y1, x2, y2 in pixels of the upright image, score, class; best first.

    `run`: (1, 3, height, width) -> what the model answers, by `output.form`. Raises ImageUnreadable."""
    image = decode(content)
    if preprocessing.fit == "letterbox" and preprocessing.stride:
        values, placement = _padded(image, preprocessing)
    else:
        values, placement = prepare(image, preprocessing)
    height, width = values.shape[1:]
    rows = _rows(np.asarray(run(values[None])[0], np.float32), output, (width, height))
    offset = np.array([placement.left, placement.top] * 2, np.float32)
    scale = np.array([placement.scale_x, placement.scale_y] * 2, np.float32)
    rows[:, :4] = (rows[:, :4] - offset) / scale
    return rows


def _padded(image: DecodedImage, wanted: Preprocessing) -> tuple[Rows, Placement]:
    """The longer side as the input's, both padded to a multiple of the stride above half a stride."""
    side = max(wanted.width, wanted.height)
    ratio = side / max(image.width, image.height)
    width, height = (min(math.ceil(each * ratio), side) for each in (image.width, image.height))
    wide, high = (
        math.ceil(each * ratio / wanted.stride + _MARGIN) * wanted.stride for each in (image.width, image.height)
    )
    left, top = (round((whole - each) / 2 - 0.1) for whole, each in ((wide, width), (high, height)))
    pixels = np.full((high, wide, 3), wanted.pad, np.uint8)
    pixels[top : top + height, left : left + width] = resize(image.pixels, (width, height), wanted.interpolation)
    values = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / _WHITE
    normal = [np.array(each, np.float32)[:, None, None] for each in (wanted.mean, wanted.std)]
    return (values - normal[0]) / normal[1], Placement(
        width / image.width, height / image.height, left, top, image.width, image.height
    )


def _rows(raw: Rows, output: Output, size: tuple[int, int]) -> Rows:
    match output.form:
        case "anchors":
            return suppress(_candidates(raw.T), iou=IOU, at_most=MAX_BOXES)
        case "queries":
            scores = raw[:, 4:].max(axis=1)
            rows = np.column_stack((_corners(raw[:, :4] * np.array([*size, *size])), scores, raw[:, 4:].argmax(axis=1)))
            rows = rows[np.argsort(-scores, kind="stable")]
        case "ranked-queries":
            rows = np.column_stack((_corners(raw[:, :4] * np.array([*size, *size])), raw[:, 4:]))
        case _:
            rows = raw[np.argsort(-raw[:, 4], kind="stable")]
    return rows[rows[:, 4] > LOWEST_SCORE][:MAX_BOXES].astype(np.float32)


def _candidates(rows: Rows) -> Rows:
    """(N, 4 + classes) -> (M, 6): one for each class of a place."""
    place, index = np.nonzero(rows[:, 4:] > LOWEST_SCORE)
    return np.column_stack((_corners(rows[place, :4]), rows[place, 4 + index], index)).astype(np.float32)


def _corners(boxes: Rows) -> Rows:
    half = boxes[:, 2:4] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
