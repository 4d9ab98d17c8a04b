"""Pixels to the input of a model, and boxes back."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.predictor import preprocess
from pipeline.predictor.images import DecodedImage, ImageUnreadable
from pipeline.predictor.metadata import Preprocessing
from pipeline.predictor.preprocess import prepare, resize, resized

SIDES = st.integers(1, 90)


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(width: int, height: int) -> DecodedImage:
    return DecodedImage(noise(width, height), width, height, 1)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
@example(2, 66, 5, 79, 1)  # a weight between two of its steps: single precision decides
@example(1, 1, 1, 2, 0)  # half of a border row twice is rounded twice
def test_linear_is_that_of_opencv(width: int, height: int, to_width: int, to_height: int, seed: int) -> None:
    pixels = noise(width, height, seed)
    expected = cv2.resize(pixels, (to_width, to_height), interpolation=cv2.INTER_LINEAR)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(preprocess, "cv2", None)
        found = resize(pixels, (to_width, to_height), "linear")
    assert np.array_equal(found, expected)


@settings(max_examples=50)
@given(st.integers(16, 900), st.integers(16, 900), st.sampled_from([0, 32]), st.data())
def test_boxes_come_back_from_a_letterbox(width: int, height: int, stride: int, data: st.DataObject) -> None:
    wanted = Preprocessing(320, 256, "letterbox", "linear", stride=stride)
    pixels = np.broadcast_to(np.uint8(7), (height, width, 3))
    values, placement = prepare(DecodedImage(pixels, width, height, 1), wanted)
    x, y = data.draw(st.floats(0, width)), data.draw(st.floats(0, height))
    box = np.array([[x, y, width, height]], np.float32)
    scale = [placement.scale_x, placement.scale_y] * 2
    offset = [placement.left, placement.top] * 2
    assert np.abs(placement.to_image(box * scale + offset) - box).max() < 0.01
    # The corners of the image lie where its pixels do, within half a pixel of the input.
    rows, columns = np.nonzero(np.abs(values[0] - 7 / 255) < 1e-6)
    ends = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(np.array([0, 0, width, height]) * scale + offset - ends).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "shortest-edge"])
def test_an_image_of_one_line_is_prepared_or_refused(fit: str) -> None:
    wanted = Preprocessing(64, 64, fit, "bilinear", resize_to=72)  # type: ignore[arg-type]
    assert prepare(decoded(1, 300), wanted)[0].shape == (3, 64, 64)
    if fit == "shortest-edge":
        with pytest.raises(ImageUnreadable, match="too long"):
            resized(1, 3_000_000, wanted)


def test_values_are_normalised_by_channel() -> None:
    wanted = Preprocessing(8, 8, "stretch", "linear", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    image = decoded(8, 8)
    expected = (image.pixels / 255 - wanted.mean) / wanted.std
    assert np.abs(prepare(image, wanted)[0].transpose(1, 2, 0) - expected).max() < 1e-6
