"""The description in an export, which may be hostile."""

import json
from typing import Any

import pytest

from pipeline.predictor.metadata import ExportMetadata, MetadataInvalid, Output, Preprocessing, read_metadata

SOUND = ExportMetadata(
    "detection", ("cat", "dog"), Preprocessing(320, 320, "letterbox", "linear"), Output("anchors"), {"name": "v1"}
)


def changed(**changes: Any) -> str:
    """`changes`: by name, of whichever part has it."""
    content = json.loads(SOUND.to_json())
    for name, value in changes.items():
        parts = (content, content["preprocessing"], content["output"])
        next(part for part in parts if name in part)[name] = value
    return json.dumps(content)


def test_a_description_is_read_as_it_was_written() -> None:
    assert read_metadata(SOUND.to_json()) == SOUND


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("width", 10**9), ("height", 0), ("width", 320.0), ("width", True), ("height", "320"), ("width", 10**400)),
        *(("mean", [0.5]), ("mean", [0, 0, float("nan")]), ("std", [1, 1, 0]), ("std", None), ("mean", [[0]] * 3)),
        *(("pad", 256), ("stride", -1), ("resize_to", 10**9), ("fit", "shortest-edge"), ("fit", "crop"), ("fit", [])),
        *(("interpolation", "nearest"), ("reduce", 1), ("form", "logits"), ("form", "masks"), ("kind", "pose")),
        *(("min_score", float("nan")), ("min_score", 2), ("iou", -0.1), ("max_boxes", 10**9), ("max_boxes", 0)),
        *(("classes", []), ("classes", [1]), ("classes", ["x" * 1001]), ("classes", ["x"] * 10_001), ("classes", 7)),
        *(("classes", ["\ud800"]), ("schema", 2), ("preprocessing", None), ("output", {}), ("about", 7)),
    ],
)
def test_a_hostile_description_is_refused(name: str, value: Any) -> None:
    with pytest.raises(MetadataInvalid, match="description"):
        read_metadata(changed(**{name: value}))


@pytest.mark.parametrize("text", ["", "7", "[]", "null", "{}", "[" * 200_000, "x", " " * 17_000_000])
def test_a_text_that_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(MetadataInvalid):
        read_metadata(text)
