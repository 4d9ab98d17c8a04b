"""Every exporter of the catalogue: one file, described and certified, the same each time, or a typed refusal."""

import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.domain.errors import ExportAccuracy, ExportUnsupported, FormatUnavailable, RequestInvalid
from pipeline.export import openvino_format, run
from pipeline.export.bounds import BOUNDS
from pipeline.export.catalogue import FORMATS, ExportOptions, Format
from pipeline.export.file_precision import file_precision
from pipeline.export.quantisation import ATTEMPTS, Attempt
from pipeline.export.run import ComparedImages, ExportedFile, export_model
from pipeline.layouts import MANIFEST_FILE
from pipeline.predictor.engines import import_openvino
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.package import is_package, read_openvino, write_package
from pipeline.predictor.predictor import ExportPredictor, Prediction
from pipeline.process.specs import ExportSpec
from tests import REPOSITORY
from tests.builders.colour_trainer import ENTRY, draw_colour_tree
from tests.builders.training import watched_environment

FACTS = {"model": "colours/v1", "fingerprint": None}


class Reported:
    """A report that keeps its stages."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.ticks = 0

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def tick(self, _done: int, _total: int) -> None:
        self.ticks += 1


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_colour_tree(tmp_path_factory.mktemp("colours") / "tree", splits={"train": 12, "test": 10})


def exported(out: Path, options: ExportOptions, tree: Path | None, report: Reported | None = None) -> ExportedFile:
    model = out.parent / "best.pt"
    model.write_bytes(b"weights")
    compared = ComparedImages(tree)
    return export_model(model, ENTRY, out, options, facts=FACTS, compared=compared, report=report or Reported())


def _marks(*written: str) -> list[pytest.MarkDecorator]:
    slow = [] if written == ("onnx", "fp32", "outside") else [pytest.mark.slow]
    return [*slow, IN_BF16] if "bf16" in written else slow


HAS_BF16 = "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
IN_BF16 = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bfloat16")
WRITTEN = [
    pytest.param(name, precision, nms, marks=_marks(name, precision, nms))
    for name, entry in FORMATS.items()
    for precision in entry.precisions
    for nms in ("outside", "inside")
    if name != "tensorrt" and precision != "int8" and (nms == "outside" or entry.nms_inside)
]


@pytest.mark.parametrize(("name", "precision", "nms"), WRITTEN)
def test_an_export_is_one_file_that_passes_and_is_the_same_each_time(
    name: Format, precision: Any, nms: Any, tree: Path, tmp_path: Path
) -> None:
    report = Reported()
    options = ExportOptions(name, precision, nms)
    first = exported(tmp_path / "first", options, tree, report)
    certificate = first.certificate
    assert certificate["passed"], certificate["reasons"]
    assert [path.name for path in (tmp_path / "first").iterdir()] == [first.file.name] == [FORMATS[name].file]
    assert (certificate["images"], certificate["split"], certificate["export"]) == (10, "test", first.file.name)
    assert report.stages == ["exporting", "loading", "certifying"] and report.ticks == 10
    assert first.about["model"] == "colours/v1" and first.about["versions"]["torch"]
    if FORMATS[name].served:
        assert file_precision(first.file, ExportPredictor(first.file).metadata.about) == precision
        assert file_precision(first.file, {}) == precision, "the graph itself"
    if name == "torchscript":
        return  # its modules are numbered by a counter of the process
    again = exported(tmp_path / "again", options, tree)
    assert certificate["files"]["export"] == again.certificate["files"]["export"]
    assert first.file.read_bytes() == again.file.read_bytes()


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="this machine may have what TensorRT needs")
def test_tensorrt_names_what_the_worker_lacks(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatUnavailable, match="lacks the package tensorrt") as refused:
        exported(tmp_path / "out", ExportOptions("tensorrt"), tree)
    assert "the package tensorrt" in refused.value.facts["missing"]


def test_openvino_is_a_zip_that_the_predictor_opens(tree: Path, tmp_path: Path) -> None:
    found = exported(tmp_path / "out", ExportOptions("openvino", nms="inside"), tree)
    with zipfile.ZipFile(found.file) as archive:
        entries = archive.infolist()
        inside = {name: json.loads(archive.read(name)) for name in ("export.json", "certificate.json")}
        digests = {entry.filename: hashlib.sha256(archive.read(entry)).hexdigest() for entry in entries}
    assert list(digests) == ["model.xml", "model.bin", "export.json", "certificate.json"]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {each["name"]: each["sha256"] for each in inside["certificate.json"]["files"]["export"]} == {
        name: digests[name] for name in ("model.bin", "model.xml")
    }
    assert inside["export.json"]["nms"] == "inside" and inside["certificate.json"]["passed"]
    images = sorted((tree / "images" / "test").iterdir())
    results = ExportPredictor(found.file).predict([image.read_bytes() for image in images])
    assert sum(len(cast(Prediction, each).boxes) for each in results) >= len(images)


@IN_BF16
def test_bfloat16_is_named_by_the_file_and_nothing_else_makes_an_engine_take_it(tree: Path, tmp_path: Path) -> None:
    found = exported(tmp_path / "out", ExportOptions("openvino", "bf16"), tree)
    assert found.certificate["passed"], found.certificate["reasons"]
    assert found.certificate["computed_in"] == "bfloat16"
    assert ExportPredictor(found.file).precision == "bfloat16"
    model, weights = read_openvino(found.file)
    for entry in (b'<darkroom_computes_in value="f16" />', b""):
        (tmp_path / "model.xml").write_bytes(model.replace(b'<darkroom_computes_in value="bf16" />', entry))
        (tmp_path / "model.bin").write_bytes(weights)
        assert (tmp_path / "model.xml").read_bytes() != model
        assert ExportPredictor(tmp_path / "model.xml").precision == "float32"


def test_bfloat16_is_not_certified_where_the_processor_has_none(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino_format, "import_openvino", lambda: SimpleNamespace(Core=Core))
    with pytest.raises(ExportUnsupported, match=r"no bfloat16 to be measured\. Take fp32"):
        exported(tmp_path / "out", ExportOptions("openvino", "bf16"), tree)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"../model.xml": b"<net/>"}, "other files"),
        ({"model.bin": b"0" * 4096}, "compressed"),
        ({"model.bin": None}, "damaged"),
    ],
)
def test_a_zip_that_is_no_export_is_refused(change: dict[str, bytes | None], reason: str, tmp_path: Path) -> None:
    members = {"model.xml": b"<net/>", "model.bin": b"", **change}
    file = tmp_path / "openvino.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content, zipfile.ZIP_DEFLATED if len(content) > 100 else zipfile.ZIP_STORED)
    assert is_package(file)
    with pytest.raises(MetadataInvalid, match=reason):
        read_openvino(file)


def test_a_package_has_the_same_bytes_whenever_it_is_written(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"weights")
    for target in (tmp_path / "a.zip", tmp_path / "b.zip"):
        write_package(target, {"model.bin": part, "model.xml": part})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_without_a_dataset_images_are_made_and_marked(tmp_path: Path) -> None:
    found = exported(tmp_path / "out", ExportOptions("onnx"), None).certificate
    assert found["passed"], found["reasons"]
    assert (found["split"], found["figures"], found["images"]) == ("synthetic", None, 24)


def test_int8_without_training_images_says_what_it_needs(tmp_path: Path) -> None:
    tree = draw_colour_tree(tmp_path / "tree", splits={"test": 4})
    with pytest.raises(ExportUnsupported, match="the dataset has no images in train"):
        exported(tmp_path / "out", ExportOptions("onnx", "int8"), tree)


def test_the_figures_count_classes_by_their_names(tmp_path: Path) -> None:
    """The dataset of an imported model may have its classes in another order, and others beside them."""
    tree = draw_colour_tree(tmp_path / "tree", splits={"test": 8})
    plain = exported(tmp_path / "plain", ExportOptions("onnx"), tree).certificate["figures"]
    rename(tree, {0: "grey", 1: "blue", 2: "red", 3: "green"}, index_of={0: 2, 1: 3, 2: 1})
    other = exported(tmp_path / "other", ExportOptions("onnx"), tree).certificate["figures"]
    assert other == plain and plain["model"] > 0.3


def test_a_dataset_of_other_classes_has_no_figure(tmp_path: Path) -> None:
    tree = draw_colour_tree(tmp_path / "tree", splits={"train": 4, "test": 8})
    rename(tree, {0: "cat", 1: "dog", 2: "cow"}, index_of={0: 0, 1: 1, 2: 2})
    found = exported(tmp_path / "out", ExportOptions("onnx"), tree).certificate
    assert found["passed"] and found["figures"] is None and found["split"] == "test"
    with pytest.raises(ExportUnsupported, match="nothing in test of the dataset is of a class of the model"):
        exported(tmp_path / "int8", ExportOptions("onnx", "int8"), tree)


def rename(tree: Path, classes: dict[int, str], *, index_of: dict[int, int]) -> None:
    manifest = json.loads((tree / MANIFEST_FILE).read_text())
    for image in manifest["images"]:
        image["boxes"] = [[index_of[row[0]], *row[1:]] for row in image["boxes"]]
    (tree / MANIFEST_FILE).write_text(json.dumps(manifest | {"classes": list(classes.values())}))


def test_int8_without_a_dataset_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ExportUnsupported, match="calibrated on training images"):
        exported(tmp_path / "out", ExportOptions("onnx", "int8"), None)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ExportOptions("torchscript", "fp16"), "precision"),
        (ExportOptions("torchscript", nms="inside"), "nms"),
        (ExportOptions("onnx", max_drop=0.1), "max_drop"),
        (ExportOptions("onnx", "int8", max_drop=1.5), "max_drop"),
        (ExportOptions("onnx", "int8", max_drop=float("nan")), "max_drop"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_read(
    options: ExportOptions, field: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestInvalid, match=field):
        exported(tmp_path / "out", options, None)


def certificates(monkeypatch: pytest.MonkeyPatch, changes: list[float]) -> list[Attempt]:
    """Instead of writing and measuring: each attempt changes the metric by the next of `changes`."""
    tried: list[Attempt] = []

    def quantisation(_onnx: Path, images: list[Path], attempt: Attempt) -> list[Path]:
        tried.append(attempt)
        return images[: attempt.images]

    def certify(*_: Any, max_drop: float | None, **__: Any) -> dict[str, Any]:
        change = changes[len(tried) - 1]
        passed = -change <= (BOUNDS["int8"].drop if max_drop is None else max_drop)
        return {"passed": passed, "reasons": [] if passed else ["mAP50-95 falls."], "figures": {"change": change}}

    class Exporter:
        @staticmethod
        def write(_source: Any, folder: Path, _options: ExportOptions) -> None:
            (folder / "model.onnx").write_text(f"attempt {len(tried)}")

    monkeypatch.setattr(run, "Quantisation", quantisation)
    monkeypatch.setattr(run, "certify", certify)
    monkeypatch.setattr(run, "exporter_of", lambda _: Exporter)
    return tried


def test_int8_keeps_the_first_attempt_that_loses_little_enough(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = certificates(monkeypatch, [-0.3, -0.02, -0.01])
    found = exported(tmp_path / "out", ExportOptions("onnx", "int8", max_drop=0.05), tree)
    assert tried == list(ATTEMPTS[:2])
    assert found.file.read_text() == "attempt 2"
    assert [(each["change"], each["passed"]) for each in found.certificate["attempts"]] == [
        (-0.3, False),
        (-0.02, True),
    ]


def test_int8_that_loses_too_much_is_refused_with_the_least_fall(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(monkeypatch, [-0.3, -0.02, -0.04])
    with pytest.raises(ExportAccuracy, match=r"smallest fall is 0\.0200, and max_drop is 0\.01") as refused:
        exported(tmp_path / "out", ExportOptions("onnx", "int8"), tree)
    assert len(refused.value.facts["attempts"]) == len(ATTEMPTS)
    assert list((tmp_path / "out").iterdir()) == []


UNTRAINED = """
import sys
from pathlib import Path
from pipeline.trainers.yolo.environment import go_offline

go_offline(Path(sys.argv[1]).parent / "config")
from ultralytics import YOLO
from pipeline.trainers.yolo.weights import publish_weights

model = YOLO("yolov8n.yaml").model
model.names = {**model.names, **dict(enumerate(("red", "green", "blue")))}  # those of the tree, among its 80
for head in model.model[-1].cv3:
    head[-1].bias.data[0] = -3.0  # so that it finds boxes, of one class
publish_weights({"model": model, "train_args": {}}, Path(sys.argv[1]), input_size=64)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_int8_is_a_smaller_file_that_the_predictor_runs_and_reaches_no_network(
    name: Format, tree: Path, tmp_path: Path
) -> None:
    artifacts, out, network = tmp_path / "artifacts", tmp_path / "out", tmp_path / "network"
    for folder in (artifacts, out):
        folder.mkdir()
    subprocess.run([sys.executable, "-c", UNTRAINED, artifacts / "best.pt"], cwd=REPOSITORY, check=True, timeout=120)
    (artifacts / "model.json").write_text(json.dumps({"trainer": "yolo", "kind": "detection"}))
    spec = ExportSpec(
        out=out, model=artifacts, trainer="yolo", name="a/v1", version_id="v", fingerprint=None, dataset=tree,
        format=name, precision="int8",
    )  # fmt: skip
    (out / "spec.json").write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "pipeline", "export-version", "--config", str(out / "spec.json")]
    environment = watched_environment(tmp_path / "guard", network)
    ran = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert set(network.read_text().splitlines()) == {"watching"}
    certificate = json.loads((out / "certificate.json").read_text())
    assert [(each["passed"], each["calibration_images"]) for each in certificate["attempts"]] == [(True, 12)]
    file = out / "export" / FORMATS[name].file
    assert file_precision(file, {}) == file_precision(file, ExportPredictor(file).metadata.about) == "int8"
    assert file.stat().st_size < 0.6 * 12_000_000, "four bytes a weight are 12 MB"
