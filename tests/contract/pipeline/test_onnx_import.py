"""ONNX files that were made elsewhere: whole ones become versions that predict, the others are refused."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from core.domain.errors import ModelRefused, TrainerCannotTrain
from pipeline.__main__ import run
from pipeline.params.catalogue import CATALOGUE, IMPORTED, entry_of
from pipeline.predictor.metadata import KEY, read_metadata
from pipeline.trainers import onnx as onnx_trainer
from pipeline.trainers.onnx import adopted, trial
from tests.builders.foreign_models import zip_of
from tests.builders.hostile_onnx import REFUSED, detector_zip, onnx_zip
from tests.builders.onnx_models import CLASSES, described, of_ultralytics, onnx_classifier, onnx_detector, scene

Import = Callable[..., Path]
EXECUTED = "executed"
LOWEST = 1e-6  # a detector that was never trained is sure of nothing
IN_ITS_PROCESS = ("unknown-operator", "gigabytes-to-run")  # the others are tried in this one, which is quicker


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import a model and return the folder of its artifacts."""

    def import_it(content: bytes, *more: str) -> Path:
        source, out = tmp_path / "theirs", tmp_path / "out"
        source.write_bytes(content)
        problem = out / "problem.json"
        assert run(["import-model", str(source), str(out), *more]) == 0, problem.read_text()
        return out / "artifacts"

    return import_it


@pytest.mark.parametrize("name", REFUSED)
def test_an_onnx_file_that_is_hostile_or_incomplete_is_refused_with_its_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name not in IN_ITS_PROCESS:
        _try_here(monkeypatch)
    make, reason = REFUSED[name]
    (tmp_path / "theirs").write_bytes(make())
    assert run(["import-model", "theirs", "out"]) == 1
    problem = json.loads((tmp_path / "out" / "problem.json").read_text())
    assert problem["slug"] == "model-refused"
    assert any(reason in each["detail"] for each in problem["facts"]["reasons"]), problem["facts"]["reasons"]
    assert not (tmp_path / EXECUTED).exists()


WHOLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "our own detector": (lambda: described(onnx_detector(), "detection", "anchors").SerializeToString(), "darkroom"),
    "our own classifier": (
        lambda: described(onnx_classifier(), "classification", "logits").SerializeToString(),
        "darkroom",
    ),
    "of ultralytics": (lambda: of_ultralytics(onnx_detector()).SerializeToString(), "ultralytics"),
    "of ultralytics, of one image and fixed sides": (
        lambda: of_ultralytics(
            onnx_detector(batch=1, sides=(128, 128)), args={"batch": 1, "dynamic": False}
        ).SerializeToString(),
        "ultralytics",
    ),
    "a detector with darkroom.json and labels.txt": (detector_zip, "darkroom"),
    "a classifier with its processor and labels.txt": (onnx_zip, "files"),
    "a classifier with a softmax": (lambda: onnx_zip(onnx_classifier(softmax=True)), "files"),
    "a classifier with id2label": (
        lambda: onnx_zip(
            labels_txt=b"", config_json=json.dumps({"id2label": {"2": "blue", "0": "red", "1": "green"}}).encode()
        ),
        "files",
    ),
    "a classifier with labels.json": (
        lambda: onnx_zip(labels_txt=b"", labels_json=b'["red", "green", "blue"]'),
        "files",
    ),
}


QUICK = ("our own detector", "of ultralytics, of one image and fixed sides", "a classifier with a softmax")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in WHOLE])
def test_what_describes_itself_becomes_a_version_that_predicts(name: str, imported: Import, tmp_path: Path) -> None:
    make, source = WHOLE[name]
    artifacts = imported(make())
    about = json.loads((artifacts / "model.json").read_text())
    assert (about["trainer"], about["origin"], about["described_by"]) == ("onnx", "imported", source)
    assert about["classes"] == list(CLASSES)
    image, answer = tmp_path / "image.png", tmp_path / "answer.json"
    image.write_bytes(scene("green", "blue"))
    command = ["predict", "--model", str(artifacts), "--image", str(image), "--out", str(tmp_path / "drawn.png")]
    assert run([*command, "--json", str(answer)]) == 0
    found = json.loads(answer.read_text())
    if about["kind"] == "detection":
        assert {box["label"] for box in found["boxes"]} == {"green", "blue"}
    else:
        assert found["labels"][0]["label"] == "green", "the colour of the left half"
        assert sum(each["score"] for each in found["labels"]) == pytest.approx(1, abs=1e-4)


def test_nothing_of_the_machine_that_made_it_is_in_a_version(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    _try_here(monkeypatch)
    model = of_ultralytics(onnx_detector(), date="2026-01-01", author="/home/me")
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "/home/me"
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "stack_trace", 'File "/home/me/export.py"'
    artifacts = imported(model.SerializeToString())
    content = (artifacts / "model.onnx").read_bytes()
    assert b"/home/me" not in content and b"stack_trace" not in content
    stored = onnx.load_model_from_string(content)
    assert [each.key for each in stored.metadata_props] == [KEY]
    assert read_metadata(stored.metadata_props[0].value).preprocessing.stride == 32


def test_a_model_that_runs_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.05)
    model = tmp_path / "model.onnx"
    onnx.save(onnx_classifier(), str(model))
    with pytest.raises(ModelRefused, match="still busy"):
        trial.try_model(model, [(1, 3, 32, 32)], tmp_path)


@pytest.mark.slow
def test_a_version_is_exported_as_itself_and_as_openvino(imported: Import, tmp_path: Path) -> None:
    artifacts = imported(detector_zip())
    for name in ("onnx", "openvino"):
        assert run(["export", "--model", str(artifacts), "--out", str(tmp_path / name), "--format", name]) == 0
    exported = onnx.load(str(tmp_path / "onnx" / "model.onnx"))
    (entry,) = exported.metadata_props
    assert json.loads(entry.value)["about"]["trainer"] == "onnx"
    assert run(["export", "--model", str(artifacts), "--out", str(tmp_path / "ts"), "--format", "torchscript"]) == 1


def test_it_trains_nothing_and_is_offered_for_no_training() -> None:
    assert not set(IMPORTED) & set(CATALOGUE)
    with pytest.raises(TrainerCannotTrain):
        entry_of("onnx")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter of torch that ultralytics calls
@pytest.mark.parametrize("options", [{"dynamic": True}, {"dynamic": False}, {"nms": True, "dynamic": False}], ids=str)
def test_an_export_of_ultralytics_predicts_as_its_weights_do(
    options: dict[str, bool], imported: Import, tmp_path: Path
) -> None:
    from pipeline.trainers import yolo
    from tests.builders.foreign_models import detector, pt_of

    weights, image = tmp_path / "theirs.pt", tmp_path / "image.png"
    weights.write_bytes(pt_of(detector(("a", "b", "c"), seed=3), train_args={"imgsz": 96}))
    Image.open(io.BytesIO(scene("red", "blue"))).resize((128, 128)).save(image)  # square: the same input for all
    expected = yolo.load(weights).predict(image, min_score=LOWEST)
    from ultralytics import YOLO

    exported = YOLO(str(weights)).export(format="onnx", imgsz=96, simplify=False, conf=LOWEST, device="cpu", **options)
    artifacts = imported(Path(exported).read_bytes())
    found = onnx_trainer.load(artifacts).predict(image, min_score=LOWEST)
    assert len(expected) > 10
    scores, wanted = ([box.score for box in boxes[:10]] for boxes in (found, expected))
    assert scores == pytest.approx(wanted, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_it_is_evaluated_on_a_named_dataset(kind: str, imported: Import, tmp_path: Path) -> None:
    tree = _prepared(tmp_path, kind)
    content = detector_zip() if kind == "detection" else onnx_zip()
    artifacts = imported(content, "--dataset", str(tree))
    metrics = json.loads((artifacts / "metrics.json").read_text())
    figure = "mAP50" if kind == "detection" else "accuracy"
    assert metrics["val"][figure] > 0.9 and metrics["test"][figure] > 0.9
    assert set(metrics["test"]["per_class"]) == set(CLASSES)
    assert set(metrics["thresholds"]["classes"]) == set(CLASSES)
    names = {path.name for path in artifacts.iterdir()}
    assert {"report.html", "report.xlsx", "test_confusion_matrix.png"} <= names
    out = tmp_path / "again"
    assert run(["evaluate", "--model", str(artifacts), "--dataset", str(tree), "--out", str(out)]) == 0
    again = json.loads((out / "metrics.json").read_text())["test"]
    assert again[figure] == metrics["test"][figure]


def test_a_dataset_of_other_classes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _try_here(monkeypatch)
    tree, out = _prepared(tmp_path, "detection", classes=("red", "green", "pink")), tmp_path / "out"
    (tmp_path / "theirs").write_bytes(detector_zip())
    assert run(["import-model", str(tmp_path / "theirs"), str(out), "--dataset", str(tree)]) == 1
    detail = json.loads((out / "problem.json").read_text())["detail"]
    assert "red, green, blue" in detail and "pink" in detail


def _prepared(folder: Path, kind: str, *, classes: tuple[str, ...] = CLASSES) -> Path:
    """A prepared tree of scenes: a square of one class left, of another one right."""
    files: dict[str, bytes] = {}
    for index in range(24):
        left, right = index % 3, (index // 3) % 3
        image = scene(CLASSES[left], CLASSES[right])
        if kind == "classification":
            files[f"{classes[left]}/{index:02d}.png"] = image
            continue
        rows = (f"{label} {(x + 56) / 256} {56 / 128} {48 / 256} {48 / 128}" for label, x in ((left, 0), (right, 128)))
        files |= {f"images/{index:02d}.png": image, f"labels/{index:02d}.txt": "\n".join(rows).encode()}
    if kind == "detection":
        files["data.yaml"] = f"names: [{', '.join(classes)}]\n".encode()
    archive = folder / "set.zip"
    archive.write_bytes(zip_of(files))
    assert run(["prepare", str(archive), str(folder / "set")]) == 0
    return folder / "set" / "tree"


def _try_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def outputs(file: Path, shapes: list[trial.Shape], _work: Path) -> list[Any]:
        return trial.outputs_of(file, shapes)

    monkeypatch.setattr(adopted, "try_model", outputs)
