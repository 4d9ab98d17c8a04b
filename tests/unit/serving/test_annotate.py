"""What is drawn into an image: legible, and of the right colours."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.predictor.predictor import Prediction
from serving import annotate
from serving.annotate import COLOURS, annotated


def drawn(prediction: Prediction, *, mode: str = "RGB", orientation: int = 1) -> np.ndarray:
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    stored = (320, 240) if orientation == 1 else (240, 320)
    Image.new(mode, stored, 30_000 if mode == "I;16" else 128).save(content, "PNG", exif=exif)
    return np.asarray(Image.open(io.BytesIO(annotated(content.getvalue(), prediction))).convert("RGB")).astype(int)


def pixels_of(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image - np.array(colour)).max(axis=2) < 40).sum())


@pytest.mark.parametrize(("mode", "orientation"), [("RGB", 1), ("I;16", 1), ("L", 1), ("RGB", 6)])
def test_each_class_of_a_classifier_has_its_line_in_every_kind_of_image(mode: str, orientation: int) -> None:
    labels = tuple(PredictedLabel(name, index, 0.5, 0.0) for index, name in enumerate(("one", "two", "three", "four")))
    image = drawn(Prediction(320, 240, orientation, (), labels, {}), mode=mode, orientation=orientation)
    assert image.shape == (240, 320, 3)
    assert all(pixels_of(image, colour) > 100 for colour in COLOURS[:4])


def test_of_many_boxes_in_one_place_the_best_has_its_label() -> None:
    boxes = tuple(PredictedBox("x", index % 7, 0.9 - index / 100, 40, 60, 200, 200) for index in range(50))
    image = drawn(Prediction(320, 240, 1, boxes, (), {}))
    areas = [pixels_of(image, colour) for colour in COLOURS]
    assert areas[0] > 150 and sum(area > 150 for area in areas) <= 3


def test_a_name_without_glyphs_is_written_as_its_number_and_a_long_one_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "FONTS", ())
    annotate._font_for.cache_clear()
    assert annotate._written("浣熊", 7, 0.5, 14)[0] == "class 7 0.50"
    text = annotate._written("raccoon " * 20, 0, 0.5, 14)[0]
    assert text.endswith("... 0.50") and len(text) < 45
    annotate._font_for.cache_clear()
