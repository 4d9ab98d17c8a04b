"""The certificate of an export: what answers as the model did passes, and each way in which exports break is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from PIL import Image, ImageDraw

from pipeline.export.bounds import BOUNDS
from pipeline.export.certificate import certify, compared
from pipeline.export.exported_process import PredictorDied
from pipeline.export.held_out import HeldOutImage
from pipeline.export.suppression_graph import add_suppression, with_suppression
from pipeline.predictor import images as predictor_images
from pipeline.predictor.engines import Engine, OpenVino
from pipeline.predictor.metadata import KEY, read_metadata
from pipeline.predictor.onnx_file import describe_onnx, description_in
from pipeline.predictor.predictor import MAX_BATCH
from pipeline.predictor.process import FRAMEWORKS
from tests.builders.colour_models import MODELS, draw_scenes, export_of
from tests.builders.exported_in_thread import exported_in_thread, write_openvino
from tests.builders.onnx_models import onnx_detector, with_properties

KINDS = ("detection", "classification")


class Remembered:
    """A model that predicts each image once for all tests."""

    def __init__(self, kind: str) -> None:
        self._model = MODELS[kind]()
        self.classes, self.thresholds, self.raw = self._model.classes, self._model.thresholds, self._model.raw
        self.predict = cache(self._model.predict)


REMEMBERED = {kind: Remembered(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[HeldOutImage]:
    return draw_scenes(tmp_path_factory.mktemp("scenes"), 12)


def certificate(
    export: Path,
    kind: str,
    scenes: Sequence[HeldOutImage],
    scratch: Path,
    *,
    engine: Engine | None = None,
    model: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Of an export in a thread of this process, which has torch."""
    options = {"bounds": BOUNDS["fp32"], "frameworks": FRAMEWORKS, **options}
    with exported_in_thread(export, scratch, engine=engine) as running:
        return compared(running, model or REMEMBERED[kind], scenes, kind=kind, **options)


@pytest.mark.parametrize(("kind", "engine"), [("detection", "onnx"), ("classification", "openvino")])
def test_an_export_that_answers_as_the_model_did_passes(
    kind: str, engine: str, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = export_of(kind, tmp_path / "model.onnx")
    file = write_openvino(file) if engine == "openvino" else file
    reported: list[int] = []
    found = certify(
        file,
        MODELS[kind](),
        scenes,
        kind=kind,
        precision="fp32",
        threads=1,
        scratch=tmp_path,
        on_image=lambda done, _: reported.append(done),
    )
    assert found["passed"], found["reasons"]
    assert found["predictions"]["share"] == 1 and found["predictions"]["compared"] >= len(scenes)
    assert found["figures"]["model"] > 0.3 and found["figures"]["change"] == 0
    assert found["milliseconds"]["export"]["p50"] > 0 and found["failed"] == 0
    assert reported == list(range(1, len(scenes) + 1))


def test_suppression_in_the_file_answers_as_suppression_in_the_predictor(
    scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = export_of("detection", tmp_path / "model.onnx")
    add_suppression(file)
    found = certificate(file, "detection", scenes, tmp_path)
    assert found["passed"], found["reasons"]
    assert found["outputs"]["largest"] < 1e-5 and found["predictions"]["share"] == 1


def test_images_without_truth_compare_answers_alone(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    file = export_of("classification", tmp_path / "model.onnx", mean=(0.3, 0.4, 0.5))
    found = certificate(file, "classification", scenes, tmp_path, without_truth=True)
    assert found["figures"] is None and not found["passed"]
    assert [reason for reason in found["reasons"] if "predictions are equal" in reason]


def test_a_file_that_no_engine_runs_has_no_certificate(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(PredictorDied):
        certify(broken, MODELS["detection"](), scenes, kind="detection", precision="fp32", threads=1, scratch=tmp_path)


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


class AtItsDefault(OpenVino):
    """OpenVINO as it runs a model when no precision is named."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, threads=1)
        self._compiled = openvino.Core().compile_model(openvino.Core().read_model(str(file)), "CPU")


@pytest.mark.skipif(
    "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor has no bf16: OpenVINO computes in single precision by default",
)
def test_openvino_at_its_default_precision_is_refused(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    plain = export_of("detection", tmp_path / "model.onnx")
    description = description_in(onnx.load(str(plain))) or ""
    onnx.save(with_properties(onnx_detector(), {KEY: description}), str(plain))  # the same model, by a convolution
    file = write_openvino(plain)
    assert certificate(file, "detection", scenes, tmp_path)["passed"]
    found = certificate(file, "detection", scenes, tmp_path, engine=AtItsDefault(file))
    assert not found["passed"] and found["outputs"]["largest"] > BOUNDS["fp32"].output


def shift_classes(model: Any) -> None:
    reorder(model, [1, 2, 0])


def shift_classes_of_boxes(model: Any) -> None:
    reorder(model, [0, 1, 2, 3, 5, 6, 4])


def reorder(model: Any, channels: list[int]) -> None:
    entry = next(each for each in model.metadata_props if each.key == KEY)
    metadata = read_metadata(entry.value)
    assert len(metadata.classes) == 3
    names = onnx.helper
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "unshifted"
    order = names.make_tensor("order", onnx.TensorProto.INT64, [len(channels)], channels)
    model.graph.initializer.append(order)
    model.graph.node.append(names.make_node("Gather", ["unshifted", "order"], [output], axis=1))


def lose_the_rest_of_the_batch(model: Any, count: int = 1) -> None:
    """As a graph with suppression does that was written for one image, or for `count`."""
    names = onnx.helper
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "whole"
    for name, values in {"starts": [0], "ends": [count], "axes": [0]}.items():
        model.graph.initializer.append(names.make_tensor(name, onnx.TensorProto.INT64, [1], values))
    slices = names.make_node("Slice", ["whole", "starts", "ends", "axes"], ["first"])
    zeros = names.make_node("Mul", ["whole", "nothing"], ["zeros"])
    model.graph.initializer.append(names.make_tensor("nothing", onnx.TensorProto.FLOAT, [1], [0.0]))
    rest = names.make_node("Slice", ["zeros", "ends", "last", "axes"], ["rest"])
    model.graph.initializer.append(names.make_tensor("last", onnx.TensorProto.INT64, [1], [10_000]))
    model.graph.node.extend([slices, zeros, rest, names.make_node("Concat", ["first", "rest"], [output], axis=0)])


def nms_for_one_image(model: Any) -> None:
    model.CopyFrom(with_suppression(model))
    lose_the_rest_of_the_batch(model)


@pytest.mark.parametrize(
    ("kind", "break_model"),
    [
        ("classification", shift_classes),
        ("detection", shift_classes_of_boxes),
        ("detection", lose_the_rest_of_the_batch),
        ("detection", nms_for_one_image),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_export_whose_model_is_another_is_refused(
    kind: str,
    break_model: Callable[[Any], None],
    precision: Any,
    scenes: list[HeldOutImage],
    tmp_path: Path,
) -> None:
    file = export_of(kind, tmp_path / "model.onnx")
    model = onnx.load(str(file))
    break_model(model)
    onnx.save(model, str(file))
    found = certificate(file, kind, scenes, tmp_path, bounds=BOUNDS[precision])
    assert not found["passed"] and found["outputs"]["largest"] > 0.1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_export_that_answers_fewer_images_than_the_predictor_sends_is_refused(
    precision: Any, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = export_of("detection", tmp_path / "model.onnx")
    model = onnx.load(str(file))
    lose_the_rest_of_the_batch(model, MAX_BATCH - 1)
    onnx.save(model, str(file))
    found = certificate(file, "detection", scenes, tmp_path, bounds=BOUNDS[precision])
    assert not found["passed"] and found["outputs"]["batch"] > 0.1 > found["outputs"]["largest"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["without EXIF", "BGR for RGB"])
def test_a_predictor_that_reads_images_otherwise_is_refused(
    kind: str, fault: str, scenes: list[HeldOutImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "without EXIF":
        monkeypatch.setattr(predictor_images, "orientation_of", lambda _: 1)
    else:
        turned = predictor_images._turned
        monkeypatch.setattr(predictor_images, "_turned", lambda pixels, way: turned(pixels[..., ::-1], way))
    found = certificate(export_of(kind, tmp_path / "model.onnx"), kind, scenes, tmp_path)
    assert not found["passed"] and found["predictions"]["share"] < 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_with_other_thresholds_is_refused(kind: str, scenes: list[HeldOutImage], tmp_path: Path) -> None:
    class Model(MODELS[kind]):  # type: ignore[misc]
        thresholds = (0.25, 0.5, 0.45)

    file = export_of(kind, tmp_path / "model.onnx")
    found = certificate(file, kind, scenes, tmp_path, model=Model())
    assert found["reasons"] == ["The thresholds of the export are not those of the model."] and not found["passed"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_that_names_its_classes_otherwise_is_refused(
    kind: str, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    class Model(MODELS[kind]):  # type: ignore[misc]
        classes = ("blue", "red", "green")

    found = certificate(export_of(kind, tmp_path / "model.onnx"), kind, scenes, tmp_path, model=Model())
    assert found["reasons"] == ["The classes of the export are not those of the model."] and not found["passed"]


def test_an_export_that_cannot_predict_an_image_is_refused(scenes: list[HeldOutImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    file = export_of("detection", tmp_path / "model.onnx")

    class Model(MODELS["detection"]):  # type: ignore[misc]
        def predict(self, image: Path, *, min_score: float | None = None) -> list[Any]:
            return [] if image == broken else super().predict(image, min_score=min_score)

    images = [*scenes, HeldOutImage(broken, np.zeros((0, 5)), None)]
    found = certificate(file, "detection", images, tmp_path, model=Model())
    assert found["failed"] == 1 and any("could not be predicted" in reason for reason in found["reasons"])


class Unsure(MODELS["detection"]):  # type: ignore[misc]
    """No box of it is above its thresholds."""

    thresholds = (1.0, 1.0, 1.0)


def unsure_export(target: Path, shift: float) -> Path:
    """Of Unsure; its boxes are `shift` px to the right."""
    file = export_of("detection", target)
    described = read_metadata(description_in(onnx.load(str(file))))
    describe_onnx(file, replace(described, output=replace(described.output, thresholds=Unsure.thresholds)))
    model = onnx.load(str(file))
    move_boxes(model, shift)
    onnx.save(model, str(file))
    return file


def move_boxes(model: Any, shift: float) -> None:
    names = onnx.helper
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "unmoved"
    model.graph.initializer.append(
        names.make_tensor("shift", onnx.TensorProto.FLOAT, [1, 7, 1], [shift, 0, 0, 0, 0, 0, 0])
    )
    model.graph.node.append(names.make_node("Add", ["unmoved", "shift"], [output]))


@pytest.mark.parametrize(("shift", "passed"), [(0.0, True), (3.0, False)])
def test_the_best_boxes_are_compared_where_none_is_above_its_threshold(
    shift: float, passed: bool, scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    file = unsure_export(tmp_path / "model.onnx", shift)
    found = certificate(file, "detection", scenes, tmp_path, model=Unsure(), without_truth=True)
    assert found["passed"] is passed, found["reasons"]
    assert found["predictions"]["compared"] > len(scenes)


def test_an_export_whose_boxes_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "grey.jpg"
    Image.new("RGB", (128, 96), (128, 128, 128)).save(image)
    file = export_of("detection", tmp_path / "model.onnx")
    found = certificate(file, "detection", [HeldOutImage(image, np.zeros((0, 5)), None)], tmp_path)
    assert not found["passed"] and found["reasons"] == [
        "The model finds no box in 1 image, of any score: the boxes of the export cannot be compared. "
        "Take images in which it finds some."
    ]


@pytest.mark.parametrize(("digit", "passed"), [(1e-8, True), (1e-6, False)])
def test_a_metric_that_falls_by_the_order_of_ties_alone_refuses_nothing(
    digit: float, passed: bool, tmp_path: Path
) -> None:
    """Two squares of one score: the model ranks the left or the right one first, and one of them alone is true."""
    drawn = tmp_path / "ties.png"
    image = Image.new("RGB", (128, 128), (128, 128, 128))
    for x in (16, 80):
        ImageDraw.Draw(image).rectangle((x, 48, x + 23, 71), fill=(255, 0, 0))
    image.save(drawn)
    found = []
    for slope, true in ((digit, 16), (-digit, 80)):
        file = export_of("detection", tmp_path / "model.onnx")
        model = onnx.load(str(file))
        raise_scores_to_the_right(model, slope)
        onnx.save(model, str(file))
        truth = np.array([[0.0, true, 48, true + 24, 72]])
        found.append(certificate(file, "detection", [HeldOutImage(drawn, truth, 0)], tmp_path))
    fallen = [each for each in found if each["figures"]["change"] < -0.1]
    assert fallen, "the model ranks one of them first, and the export the other one"
    for each in fallen:
        assert each["predictions"]["share"] == each["cropped"]["share"] == 1
        assert each["passed"] is passed, each["reasons"]
        assert passed or [reason for reason in each["reasons"] if "mAP50-95 falls" in reason] == each["reasons"]


def raise_scores_to_the_right(model: Any, slope: float) -> None:
    """By `slope` for each pixel."""
    weights = np.eye(7, dtype=np.float32)
    weights[4:, 0] = slope
    output = model.graph.output[0].name
    last = next(node for node in model.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "level"
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    model.graph.node.append(onnx.helper.make_node("MatMul", ["weights", "level"], [output]))


def test_an_export_that_is_wrong_at_other_sides_is_refused_by_square_images(
    scenes: list[HeldOutImage], tmp_path: Path
) -> None:
    square = [_squared(scene, tmp_path / f"{number}.png") for number, scene in enumerate(scenes[:4])]
    file = export_of("detection", tmp_path / "model.onnx")
    assert certificate(file, "detection", square, tmp_path)["passed"]
    model = onnx.load(str(file))
    move_boxes_unless_square(model)
    onnx.save(model, str(file))
    found = certificate(file, "detection", square, tmp_path)
    assert [reason for reason in found["reasons"] if "wide parts" in reason] and found["predictions"]["share"] == 1


def _squared(scene: HeldOutImage, target: Path) -> HeldOutImage:
    with Image.open(scene.file) as image:
        image.convert("RGB").resize((128, 128)).save(target)
    return HeldOutImage(target, scene.boxes, None)


def move_boxes_unless_square(model: Any) -> None:
    """To the right, by the pixels that its input is higher than wide."""
    names, integers, whole = onnx.helper, onnx.TensorProto.INT64, model.graph.input[0].name
    move_boxes(model, 1.0)
    add = model.graph.node[-1]
    add.input[1] = "shifts"
    for name, value in {"two": 2, "three": 3, "four": 4}.items():
        model.graph.initializer.append(names.make_tensor(name, integers, [1], [value]))
    model.graph.node.insert(0, names.make_node("Mul", ["shift", "excess"], ["shifts"]))
    model.graph.node.insert(0, names.make_node("Cast", ["difference"], ["excess"], to=onnx.TensorProto.FLOAT))
    model.graph.node.insert(0, names.make_node("Sub", ["high", "wide"], ["difference"]))
    model.graph.node.insert(0, names.make_node("Slice", ["sides", "three", "four"], ["wide"]))
    model.graph.node.insert(0, names.make_node("Slice", ["sides", "two", "three"], ["high"]))
    model.graph.node.insert(0, names.make_node("Shape", [whole], ["sides"]))
