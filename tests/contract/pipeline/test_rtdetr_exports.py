"""RT-DETR, whose output needs no suppression: its exports answer and are measured as the model itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.process.specs import EvaluateSpec
from tests import REPOSITORY
from tests.builders.evaluated_sets import prepared

pytestmark = pytest.mark.slow


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `artifacts`, `files` and the prepared tree, at `set/out/tree`."""
    folder = tmp_path_factory.mktemp("rtdetr")
    built = run("tests.builders.small_rtdetr", folder)
    assert built.returncode == 0, built.stderr[-2000:]
    files = folder / "files"
    prepared(
        folder / "set",
        {str(file.relative_to(files)): file.read_bytes() for file in sorted(files.rglob("*")) if file.is_file()},
    )
    return folder


@pytest.fixture(scope="module")
def onnx(made: Path) -> Path:
    return exported(made, "onnx", "fp32") / "model.onnx"


def exported(made: Path, name: str, precision: str, *options: str) -> Path:
    out = made / f"{name}-{precision}"
    given = ("--model", made / "artifacts", "--dataset", made / "set/out/tree", "--out", out)
    ran = run("pipeline", "export", *given, "--format", name, "--precision", precision, *options)
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr[-2000:]
    return out


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_int8_keeps_most_boxes(name: str, made: Path) -> None:
    """At least 60 % of them are equal. The metric may fall far: random weights have no margin."""
    out = exported(made, name, "int8", "--max-drop", "0.2")
    certificate = json.loads((out / "certificate.json").read_text())
    assert certificate["figures"]["model"] > 0.9 and certificate["predictions"]["compared"] > 250
    assert len(certificate["attempts"]) == 1


def evaluated(out: Path, model: Path, trainer: str | None, tree: Path) -> dict[str, Any]:
    spec = EvaluateSpec(
        out=out, model=model, trainer=trainer, name="shapes/v1", dataset=tree, dataset_name="shapes/d1", split="test"
    )
    out.mkdir()
    (out / "spec.json").write_text(spec.model_dump_json())
    ran = run("pipeline", "evaluate-version", "--config", out / "spec.json")
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, Any] = json.loads((out / "artifacts" / "metrics.json").read_text())["test"]
    return found


def test_the_model_and_its_export_have_the_figures_of_the_validation_after_a_training(
    made: Path, onnx: Path, tmp_path: Path
) -> None:
    tree = made / "set/out/tree"
    model = evaluated(tmp_path / "model", made / "artifacts", "yolo", tree)
    export = evaluated(tmp_path / "export", onnx, None, tree)
    given = (
        "--model",
        made / "artifacts/best.pt",
        "--dataset",
        tree,
        "--out",
        tmp_path / "training",
        "--device",
        "cpu",
    )
    ran = run("pipeline", "evaluate", *given)
    assert ran.returncode == 0, ran.stderr[-2000:]
    training = json.loads((tmp_path / "training" / "metrics.json").read_text())["test"]
    assert model["mAP50-95"] > 0.9
    for name in ("mAP50", "mAP50-95"):
        assert export[name] == pytest.approx(model[name], abs=1e-4), name
        assert model[name] == pytest.approx(training[name], abs=0.01), name


def test_both_predict_the_same_boxes(made: Path, onnx: Path, tmp_path: Path) -> None:
    image = made / "files/images/test/test-1.png"
    answers = []
    for model in (made / "artifacts", onnx):
        given = ("--model", model, "--image", image, "--out", tmp_path / "drawn.png", "--json", tmp_path / "found.json")
        ran = run("pipeline", "predict", *given)
        assert ran.returncode == 0, ran.stderr[-2000:]
        answers.append(json.loads((tmp_path / "found.json").read_text())["boxes"])
    assert len(answers[0]) == len(answers[1]) >= 30
    for ours, theirs in zip(*answers, strict=True):
        assert ours["label"] == theirs["label"]
        for side in ("x1", "y1", "x2", "y2"):
            assert ours[side] == pytest.approx(theirs[side], abs=0.05)


def test_suppression_inside_is_refused(made: Path, tmp_path: Path) -> None:
    ran = run("pipeline", "export", "--model", made / "artifacts", "--out", tmp_path / "out", "--nms", "inside")
    assert ran.returncode == 1
    assert "needs no suppression. Take nms: outside" in ran.stderr
