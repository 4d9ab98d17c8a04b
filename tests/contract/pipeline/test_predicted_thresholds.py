"""What a model and its export list by default: what is above the thresholds of the classes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

from pipeline.export.held_out import HeldOutImage
from pipeline.predictor.metadata import KEY, MetadataInvalid
from pipeline.predictor.predictor import ExportPredictor, Prediction
from tests.builders.colour_models import MODELS, draw_scenes, export_of


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[HeldOutImage]:
    return draw_scenes(tmp_path_factory.mktemp("scenes"), 12)


def predicted(file: Path, scenes: Sequence[HeldOutImage], **options: Any) -> list[Prediction]:
    results = ExportPredictor(file).predict([scene.file.read_bytes() for scene in scenes], **options)
    assert all(isinstance(result, Prediction) for result in results)
    return results  # type: ignore[return-value] # as asserted


def test_boxes_are_listed_above_the_thresholds_of_their_classes(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    model = MODELS["detection"]()
    listed = predicted(export_of("detection", tmp_path / "model.onnx"), scenes)
    lowest = predicted(tmp_path / "model.onnx", scenes, min_score=0.25)
    left_out = 0
    for scene, ours, all_of_them in zip(scenes, listed, lowest, strict=True):
        wanted = model.predict(scene.file)
        assert [(box.class_index, round(box.score, 4)) for box in ours.boxes] == [
            (box.class_index, round(box.score, 4)) for box in wanted
        ]
        assert all(box.score > model.thresholds[box.class_index] for box in ours.boxes)
        assert set(ours.boxes) <= set(all_of_them.boxes), "a lower threshold lists all of these and more"
        left_out += len(all_of_them.boxes) - len(ours.boxes)
    assert left_out > 0


def test_a_classifier_always_answers_and_says_when_it_is_unsure(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    model = MODELS["classification"]()
    listed = predicted(export_of("classification", tmp_path / "model.onnx"), scenes)
    for scene, ours in zip(scenes, listed, strict=True):
        wanted = model.predict(scene.file)
        assert [(one.class_index, one.threshold, one.is_sure) for one in ours.labels] == [
            (one.class_index, one.threshold, one.is_sure) for one in wanted
        ]
        assert len(ours.labels) == 3
    assert {ours.labels[0].is_sure for ours in listed} == {True, False}
    only_high = predicted(tmp_path / "model.onnx", scenes, min_score=0.5)
    assert all(one.score >= 0.5 for ours in only_high for one in ours.labels)


def test_a_description_with_thresholds_of_other_classes_is_no_export(tmp_path: Path) -> None:
    file = export_of("detection", tmp_path / "model.onnx")
    model = onnx.load(str(file))
    entry = next(each for each in model.metadata_props if each.key == KEY)
    described = json.loads(entry.value)
    described["output"]["thresholds"] = [0.5]
    entry.value = json.dumps(described)
    onnx.save(model, str(file))
    with pytest.raises(MetadataInvalid, match="one threshold for each class"):
        ExportPredictor(file)
