"""What models of other exporters have, and ours do not: a softmax of their own, and a fixed batch of one."""

import io
from pathlib import Path

import onnx
import pytest
from PIL import Image

from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import ExportPredictor, Prediction
from tests.builders.exported_in_thread import write_openvino
from tests.builders.onnx_models import described, onnx_classifier, onnx_detector


def test_probabilities_of_the_model_itself_are_not_normalised_again(tmp_path: Path) -> None:
    logits, softmax = (
        _predicted(_written(tmp_path / f"{form}.onnx", described(model, "classification", form)))
        for form, model in (("logits", onnx_classifier()), ("probabilities", onnx_classifier(softmax=True)))
    )
    assert [one.label for one in softmax.labels] == [one.label for one in logits.labels]
    assert [one.score for one in softmax.labels] == pytest.approx([one.score for one in logits.labels])


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_model_with_a_fixed_batch_of_one_predicts_several_images(tmp_path: Path, suffix: str) -> None:
    fixed = _written(tmp_path / f"fixed{suffix}", described(onnx_classifier(batch=1), "classification", "logits"))
    free = _written(tmp_path / "free.onnx", described(onnx_classifier(), "classification", "logits"))
    images = [_image((width, 40), color) for width, color in ((50, "red"), (60, "blue"), (70, "lime"))]
    results, expected = (ExportPredictor(file).predict(images) for file in (fixed, free))
    assert [_labels(one) for one in results] == [_labels(one) for one in expected]
    assert [_labels(one)[0] for one in results] == ["red", "blue", "green"]


def test_a_description_whose_output_is_of_the_other_kind_is_no_export(tmp_path: Path) -> None:
    for kind, form, model in (
        ("classification", "anchors", onnx_classifier()),
        ("detection", "logits", onnx_detector()),
    ):
        with pytest.raises(MetadataInvalid, match="another kind"):
            ExportPredictor(_written(tmp_path / "model.onnx", described(model, kind, form)))


def _image(size: tuple[int, int], colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def _written(path: Path, model: onnx.ModelProto) -> Path:
    file = path.with_suffix(".onnx")
    onnx.save(model, str(file))
    if path.suffix == ".xml":
        return write_openvino(file)
    return path


def _predicted(file: Path) -> Prediction:
    (result,) = ExportPredictor(file).predict([_image((50, 40), "red")])
    assert isinstance(result, Prediction)
    return result


def _labels(result: object) -> list[str]:
    assert isinstance(result, Prediction)
    return [one.label for one in result.labels]
