"""The schema of yolo's params, without ultralytics."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.domain.errors import ParamsInvalid
from pipeline.params.catalogue import CATALOGUE, default_trainer, params_of, validate_params
from pipeline.params.yolo import YoloParams, model_names, weights_names
from tests import REPOSITORY


def test_every_architecture_has_its_file_in_the_installed_ultralytics() -> None:
    spec = find_spec("ultralytics")
    if spec is None or spec.origin is None:
        pytest.skip("ultralytics is not installed: pip install -r requirements-worker.txt")
    files = {path.stem: path for path in (Path(spec.origin).parent / "cfg" / "models").rglob("*.yaml")}
    for name in model_names():
        family = re.sub(r"(\d)[nsmlx](-|$)", r"\1\2", name)  # as ultralytics finds the file of a size
        assert (files.get(name) or files.get(family)) is not None, name


def test_no_family_of_closed_set_detectors_is_forgotten() -> None:
    spec = find_spec("ultralytics")
    if spec is None or spec.origin is None:
        pytest.skip("ultralytics is not installed: pip install -r requirements-worker.txt")
    heads = re.compile(r", (Detect|v10Detect|RTDETRDecoder), \[nc")
    named = {re.sub(r"(\d)[nsmlx](-|$)", r"\1\2", name) for name in model_names()} | set(model_names())
    for path in (Path(spec.origin).parent / "cfg" / "models").rglob("*.yaml"):
        if heads.search(path.read_text(encoding="utf-8")):
            assert path.stem in named


@pytest.mark.parametrize("name", ["yolov8n", "yolo11s", "yolo26m-p2", "rtdetr-l", "our-best.pt", "yolov8n.yaml"])
def test_a_model_is_an_architecture_or_a_file_name(name: str) -> None:
    assert YoloParams(model=name).model == name.removesuffix(".yaml")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.pt",
        "/etc/x.pt",
        "a/b.pt",
        "..pt/x",
        "http://x/y.pt",
        "yolov8z",
        "yolov8n-seg",
        "",
        "a b.pt",
        "x..pt.pt",
    ],
)
def test_a_path_or_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        YoloParams(model=name)


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", 0),
        ("batch", 0),
        ("imgsz", 100),
        ("imgsz", 8),
        ("lr0", 0),
        ("lr0", float("nan")),
        ("device", "cuda:0,1"),
        ("device", "cpu; rm"),
        ("mosaic", 1.5),
        ("seed", -1),
        ("max_minutes", 0),
        ("optimizer", "Best"),
        ("pretrained", True),
        ("nonsense", 1),
    ],
)
def test_a_bad_field_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        validate_params("yolo", {field: value})
    assert [error["field"] for error in caught.value.facts["errors"]] == [f"params.{field}"]


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        validate_params("yolo", {"epochs": 0, "batch": "many", "imgsz": 33})
    assert [error["field"] for error in caught.value.facts["errors"]] == [
        "params.epochs",
        "params.batch",
        "params.imgsz",
    ]


def test_an_unknown_trainer_is_a_bad_field() -> None:
    with pytest.raises(ParamsInvalid, match="no trainer"):
        validate_params("magic", {})


def test_defaults_are_valid_and_every_field_is_described() -> None:
    for name in CATALOGUE:
        schema = params_of(name).model_json_schema()
        assert all(field["description"] for field in schema["properties"].values())
        assert schema["additionalProperties"] is False
        validate_params(name, {})


def test_a_kind_has_a_trainer_by_default() -> None:
    assert default_trainer("detection") == "yolo"
    assert default_trainer("poetry") is None


@pytest.mark.parametrize(
    "model, first",
    [
        ("yolov8n", "yolov8n.pt"),
        ("yolov5n", "yolov5nu.pt"),
        ("yolov5s-p6", "yolov5s6u.pt"),
        ("yolov3-tiny", "yolov3-tinyu.pt"),
        ("our.pt", "our.pt"),
    ],
)
def test_the_first_name_of_weights_is_that_of_the_hub(model: str, first: str) -> None:
    assert weights_names(model)[0] == first


def test_params_are_checked_without_any_heavy_library() -> None:
    code = """
import sys
from pipeline.params.catalogue import CATALOGUE, validate_params
for name in CATALOGUE:
    validate_params(name, {})
import pipeline.training.run, pipeline.cli.predict
heavy = {"torch", "ultralytics", "matplotlib", "cv2", "numpy", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=60)
