"""How the demo compares predictions with labels."""

from collections.abc import Sequence
from typing import Any

import pytest

from darkroom.schemas import Prediction
from darkroom.schemas.datasets import DatasetImage
from darkroom.schemas.decode import decode
from deploy.local.demo_predictions import Agreement, LabelledImage, agreement, agreement_text

CIRCLE = ("circle", 10.0, 10.0, 30.0, 30.0)
SQUARE = ("square", 50.0, 10.0, 70.0, 30.0)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([CIRCLE, SQUARE], Agreement(2, 2, 0)),
        ([], Agreement(2, 0, 0)),
        ([CIRCLE, CIRCLE], Agreement(2, 1, 1)),
        ([("square", *CIRCLE[1:])], Agreement(2, 0, 1)),
        ([("circle", 16.0, 10.0, 36.0, 30.0)], Agreement(2, 1, 0)),  # IoU 0.54
        ([("circle", 17.0, 10.0, 37.0, 30.0)], Agreement(2, 0, 1)),  # IoU 0.48
    ],
    ids=["both", "none", "one twice", "another class", "just enough", "not enough"],
)
def test_boxes_are_matched_once_by_class_and_place(predicted: Sequence[tuple[Any, ...]], expected: Agreement) -> None:
    assert agreement(_image(boxes=[CIRCLE, SQUARE]), _prediction(boxes=predicted)) == expected


def test_the_text_counts_boxes_of_a_detector_and_images_of_a_classifier() -> None:
    scene = LabelledImage(_image(boxes=[CIRCLE, SQUARE]), b"")
    assert agreement_text([scene], [_prediction(boxes=[CIRCLE])]) == "1 image, 1 of 2 boxes found, 0 wrong"
    figures = [LabelledImage(_image(label=label), b"") for label in ("running", "jumping")]
    answers = [_prediction(labels=["running", "sitting"]), _prediction(labels=["sitting", "jumping"])]
    assert agreement_text(figures, answers) == "2 images, 1 right"


def _image(*, boxes: Sequence[tuple[Any, ...]] = (), label: str | None = None) -> DatasetImage:
    fields: dict[str, Any] = {"path": "a.jpg", "name": "a.jpg", "sha256": "0" * 64, "split": "test", "label": label}
    fields |= {"width": 100, "height": 100, "bytes": 1, "brightness": 0.5, "blur": 1.0, "findings": [], "links": {}}
    labelled = [{"class": name, "x": x, "y": y, "width": x2 - x, "height": y2 - y} for name, x, y, x2, y2 in boxes]
    return decode(DatasetImage, fields | {"boxes": labelled, "box_count": len(labelled)})


def _prediction(*, boxes: Sequence[tuple[Any, ...]] = (), labels: Sequence[str] = ()) -> Prediction:
    corners = ("label", "x1", "y1", "x2", "y2")
    scored = {"class_index": 0, "score": 0.9}
    names = ("name", "requested", "version_id", "export_id", "sha256", "format", "engine", "precision")
    answer = {
        "boxes": [dict(zip(corners, box, strict=True)) | scored for box in boxes],
        "labels": [{"label": label} | scored for label in labels],
    }
    return decode(Prediction, {"model": dict.fromkeys(names, "x"), "answer": answer, "image": b"", "image_url": ""})
