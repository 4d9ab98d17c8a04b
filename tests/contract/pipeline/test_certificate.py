"""The certificate of an export: what answers as the model did passes, and each way in which exports break is found."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.export import openvino_format
from pipeline.export.certificate import certify
from pipeline.export.held_out import HeldOutImage
from pipeline.predictor.metadata import KEY, read_metadata
from tests.builders.colour_models import MODELS, draw_scenes, export_of

KINDS = ("detection", "classification")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[HeldOutImage]:
    return draw_scenes(tmp_path_factory.mktemp("scenes"))


def certificate(
    export: Path, kind: str, scenes: Sequence[HeldOutImage], scratch: Path, *, process: Sequence[str] = ()
) -> dict[str, Any]:
    options: dict[str, Any] = {"process": process} if process else {}
    return certify(export, MODELS[kind](), scenes, kind=kind, precision="fp32", threads=1, scratch=scratch, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_export_that_answers_as_the_model_did_passes(
    kind: str, engine: str, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = export_of(kind, tmp_path / "model.onnx")
    if engine == "openvino":
        openvino_format.write(file, None, tmp_path / "model.xml", precision="fp32")
        file = tmp_path / "model.xml"
    found = certificate(file, kind, scenes, tmp_path)
    assert found["passed"], found["reasons"]
    assert found["predictions"]["share"] == 1 and found["predictions"]["compared"] >= len(scenes)
    assert found["figures"]["model"] > 0.3 and found["figures"]["change"] == 0
    assert found["milliseconds"]["export"]["p50"] > 0 and found["failed"] == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("classification", {"mean": (0.3, 0.4, 0.5)}),
        ("classification", {"std": (0.25, 0.2, 0.3)}),
        ("detection", {"mean": (0.2, 0.0, 0.0)}),
        ("detection", {"fit": "stretch"}),
        ("detection", {"stride": 48}),
    ],
)
def test_an_export_that_prepares_images_otherwise_is_refused(
    kind: str, changes: dict[str, Any], scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    found = certificate(export_of(kind, tmp_path / "model.onnx", **changes), kind, scenes, tmp_path)
    assert not found["passed"]
    assert found["outputs"]["largest"] < 1e-4, "the model itself is the same: only the whole path shows it"


def shift_classes(model: Any) -> None:
    entry = next(each for each in model.metadata_props if each.key == KEY)
    metadata = read_metadata(entry.value)
    assert len(metadata.classes) == 3
    names = onnx.helper
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "unshifted"
    order = names.make_tensor("order", onnx.TensorProto.INT64, [3], [1, 2, 0])
    model.graph.initializer.append(order)
    model.graph.node.append(names.make_node("Gather", ["unshifted", "order"], [output], axis=1))


def lose_the_rest_of_the_batch(model: Any) -> None:
    """As a graph with suppression does that was written for one image."""
    names = onnx.helper
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "whole"
    for name, values in {"starts": [0], "ends": [1], "axes": [0]}.items():
        model.graph.initializer.append(names.make_tensor(name, onnx.TensorProto.INT64, [1], values))
    slices = names.make_node("Slice", ["whole", "starts", "ends", "axes"], ["first"])
    zeros = names.make_node("Mul", ["whole", "nothing"], ["zeros"])
    model.graph.initializer.append(names.make_tensor("nothing", onnx.TensorProto.FLOAT, [1], [0.0]))
    rest = names.make_node("Slice", ["zeros", "ends", "last", "axes"], ["rest"])
    model.graph.initializer.append(names.make_tensor("last", onnx.TensorProto.INT64, [1], [10_000]))
    model.graph.node.extend([slices, zeros, rest, names.make_node("Concat", ["first", "rest"], [output], axis=0)])


@pytest.mark.parametrize(
    ("kind", "break_model"), [("classification", shift_classes), ("detection", lose_the_rest_of_the_batch)]
)
def test_an_export_whose_model_is_another_is_refused(
    kind: str, break_model: Callable[[Any], None], scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = export_of(kind, tmp_path / "model.onnx")
    model = onnx.load(str(file))
    break_model(model)
    onnx.save(model, str(file))
    found = certificate(file, kind, scenes, tmp_path)
    assert not found["passed"] and found["outputs"]["largest"] > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        "images.orientation_of = lambda image: 1",
        "images._turned = lambda pixels, orientation, was=images._turned: was(pixels[..., ::-1], orientation)",
    ],
    ids=["without EXIF", "BGR for RGB"],
)
def test_a_predictor_that_reads_images_otherwise_is_refused(
    kind: str, fault: str, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    script = f"from pipeline.predictor import images, process\n{fault}\nprocess.main()\n"
    file = export_of(kind, tmp_path / "model.onnx")
    found = certificate(file, kind, scenes, tmp_path, process=[sys.executable, "-c", script])
    assert not found["passed"] and found["predictions"]["share"] < 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_with_other_thresholds_is_refused(kind: str, scenes: list[HeldOutImage], tmp_path: Path) -> None:
    class Model(MODELS[kind]):  # type: ignore[misc]
        thresholds = (0.25, 0.5, 0.45)

    file = export_of(kind, tmp_path / "model.onnx")
    found = certify(file, Model(), scenes, kind=kind, precision="fp32", threads=1, scratch=tmp_path)
    assert found["reasons"] == ["The thresholds of the export are not those of the model."] and not found["passed"]


def test_an_export_that_cannot_predict_an_image_is_refused(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    file = export_of("detection", tmp_path / "model.onnx")

    class Model(MODELS["detection"]):  # type: ignore[misc]
        def predict(self, image: Path, *, min_score: float | None = None) -> list[Any]:
            return [] if image == broken else super().predict(image, min_score=min_score)

    images = [*scenes, HeldOutImage(broken, np.zeros((0, 5)), None)]
    found = certify(file, Model(), images, kind="detection", precision="fp32", threads=1, scratch=tmp_path)
    assert found["failed"] == 1 and any("could not be predicted" in reason for reason in found["reasons"])
