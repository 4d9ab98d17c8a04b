"""docs/examples, stage after stage as a person runs them, on small sets of our own drawing."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from openpyxl import load_workbook
from PIL import Image

from deploy.local import poses
from pipeline.cli.config_files import load_file
from pipeline.samples import scenes
from tests.builders.training import REPOSITORY

pytestmark = pytest.mark.slow  # eight processes, six of which load torch


@dataclass(frozen=True)
class Case:
    archive: str
    few: dict[str, Any]  # params that make the training short
    metric: str


CASES = {
    "pose": Case("poses.zip", {"model": "vit-nano-scratch", "epochs": 1}, "accuracy"),
    "detection": Case("shapes-voc.zip", {"epochs": 1, "imgsz": 64}, "mAP50"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_examples_of_a_kind_run_one_after_the_other(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    _draw(name, tmp_path)
    for config in sorted((REPOSITORY / "docs" / "examples" / name).iterdir()):
        _run(config, case, tmp_path)
    trained, evaluated = tmp_path / name / "trained" / "artifacts", tmp_path / name / "evaluated"
    assert (trained / "model.json").exists()
    manifest = tmp_path / name / "prepared" / "tree" / "manifest.json"
    fingerprint = json.loads((trained / "model.json").read_text())["fingerprint"]
    assert fingerprint == json.loads((tmp_path / name / "prepared" / "result.json").read_text())["fingerprint"]
    assert manifest.exists()
    metrics = [json.loads((folder / "metrics.json").read_text())["test"] for folder in (trained, evaluated)]
    assert metrics[0][case.metric] == pytest.approx(metrics[1][case.metric], abs=1e-4)
    assert metrics[0]["confusion_matrix"]["matrix"] == metrics[1]["confusion_matrix"]["matrix"]
    assert "<h1>" in (evaluated / "report.html").read_text()
    assert "Confusion test" in load_workbook(evaluated / "report.xlsx").sheetnames
    with Image.open(tmp_path / name / "prediction.png") as image:
        assert image.width >= 640
    assert json.loads((tmp_path / name / "prediction.json").read_text())["image"] == "image.jpg"
    certificate = json.loads((tmp_path / name / "exported" / "certificate.json").read_text())
    assert certificate["split"] == "test" and certificate["predictions"]["share"] == 1


def _draw(name: str, folder: Path) -> None:
    if name == "pose":
        poses.write_archive(folder / "poses.zip", figures=80, seed=0)
        image = next(poses.draw_figures(1, seed=1)).image
    else:
        scenes.write_archive(folder / "shapes-voc.zip", scenes=30, seed=0)
        image = next(scenes.draw_scenes(1, seed=1)).image
    image.save(folder / "image.jpg")


def _run(example: Path, case: Case, folder: Path) -> None:
    command = example.stem.partition("-")[2]
    config = load_file(example)
    if command == "train":
        config["params"] |= {**case.few, "device": "cpu"}
    path = folder / f"{command}.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", command, "--config", str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if command in ("train", "evaluate"):
        assert "ground truth \\ predicted" in done.stdout
