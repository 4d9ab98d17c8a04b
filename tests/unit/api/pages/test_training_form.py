"""The form of a training and what it has sent: every param of every trainer, there and back."""

from typing import Any

import pytest

from api.pages.training_form import Control, form_of, params_from, schema_of
from api.pages.training_starts import start_of, starts_of
from core.domain.errors import ParamsInvalid
from pipeline.params.catalogue import CATALOGUE, params_of, validate_params


def controls_of(trainer: str, values: dict[str, Any] | None = None) -> dict[str, Control]:
    return {each.name: each for group in form_of(trainer, values or {}, {}) for each in group.controls}


def sent_by(controls: dict[str, Control]) -> dict[str, str]:
    """As a browser sends the form: a box that is not ticked is left out."""
    ticked = {each.field: "true" for each in controls.values() if each.kind == "boolean" and each.value}
    return ticked | {
        each.field: each.value.replace("\n", "\r\n") for each in controls.values() if each.kind != "boolean"
    }


@pytest.mark.parametrize("trainer", CATALOGUE)
def test_every_param_has_a_place_and_the_form_as_it_comes_changes_nothing(trainer: str) -> None:
    groups = form_of(trainer, {}, {})
    controls = controls_of(trainer)
    left_out = {"pretrained"} if trainer == "clip" else set()
    assert set(controls) == set(schema_of(trainer)) - left_out
    assert groups[-1].title != "Others" and len(groups[0].controls) <= 6
    assert all(each.help for each in controls.values())
    assert not any(each.is_changed for each in controls.values())
    assert params_from(trainer, sent_by(controls)) == {}


CHANGED: dict[str, dict[str, Any]] = {
    "yolo": {
        "model": "raccoons/v3",
        "epochs": 3,
        "lr0": 0.0005,
        "cos_lr": True,
        "optimizer": "AdamW",
        "max_minutes": 1.5,
    },
    "vit": {"image_size": 64, "half": False, "class_weights": "balanced", "suspect_labels": False},
    "clip": {
        "mode": "linear-probe",
        "templates": ["a photo of a {}.", "{}, seen from above"],
        "prompts": {"using_laptop": ["typing: on a laptop.", "a person"], "o": ["x"]},
    },
}


@pytest.mark.parametrize("trainer", CATALOGUE)
def test_params_return_from_the_form_as_they_went_in(trainer: str) -> None:
    changed = controls_of(trainer, CHANGED[trainer])
    assert {name for name, each in changed.items() if each.is_changed} == set(CHANGED[trainer])
    found = params_from(trainer, sent_by(changed))
    assert found == CHANGED[trainer]
    assert validate_params(trainer, found)


def test_what_cannot_be_read_is_refused_by_the_schema_with_the_name_of_its_field() -> None:
    sent = sent_by(controls_of("yolo")) | {"params.epochs": "many", "params.lr0": "nan", "params.imgsz": " 65 "}
    found = params_from("yolo", sent)
    assert found == {"epochs": "many", "lr0": "nan", "imgsz": 65}
    with pytest.raises(ParamsInvalid) as refused:
        validate_params("yolo", found)
    errors = {each["field"]: each["message"] for each in refused.value.facts["errors"]}
    assert set(errors) == {"params.epochs", "params.lr0", "params.imgsz"}
    form = form_of("yolo", found, errors)
    wrong = {each.name: each for group in form for each in group.controls if each.error}
    assert wrong["epochs"].value == "many" and wrong["imgsz"].error == errors["params.imgsz"]
    assert [(group.title, group.errors) for group in form if group.errors] == [("", 2), ("Learning rate", 1)]


def test_an_emptied_field_means_none_where_that_is_allowed_and_is_refused_elsewhere() -> None:
    sent = sent_by(controls_of("yolo", {"freeze": 3})) | {"params.freeze": "", "params.epochs": ""}
    assert params_from("yolo", sent) == {"epochs": ""}
    with pytest.raises(ParamsInvalid, match="epochs"):
        validate_params("yolo", {"epochs": ""})


def test_ranges_are_said_in_words() -> None:
    yolo, vit = controls_of("yolo"), controls_of("vit")
    assert yolo["imgsz"].range == "64 to 4,096 in steps of 32" and yolo["imgsz"].unit == "px"
    assert yolo["lr0"].range == "above 0, up to 1" and yolo["lr0"].is_nullable
    assert vit["warmup"].range == "0 to below 1"


def test_weights_that_are_here_come_first_and_what_is_not_says_what_follows(tmp_path: Any) -> None:
    (tmp_path / "yolo11s.pt").write_bytes(b"x")
    (tmp_path / "ours.pt").write_bytes(b"x")
    names = [each.name for each in starts_of("yolo", [], folder=tmp_path, hub=False)]
    assert set(names[:2]) == {"yolo11s", "ours.pt"} and "yolov8n" in names
    assert start_of("yolo", "yolov8n", folder=tmp_path, hub=False).standing == "scratch"
    assert start_of("yolo", "yolov8n", folder=tmp_path, hub=True).standing == "hub"
    assert start_of("yolo", "nope.pt", folder=tmp_path, hub=True).standing == "missing"
    assert start_of("yolo", "../x.pt", folder=tmp_path / "a", hub=False).standing == "missing"
    model = tmp_path / "openai--clip-vit-base-patch32"
    assert start_of("clip", "openai/clip-vit-base-patch32", folder=tmp_path, hub=False).standing == "missing"
    model.mkdir()
    (model / "config.json").touch()
    (model / "model.safetensors").touch()
    assert start_of("clip", "openai/clip-vit-base-patch32", folder=tmp_path, hub=False).standing == "here"
    for trainer in CATALOGUE:
        for start in starts_of(trainer, [], folder=tmp_path / "none", hub=True):
            assert params_of(trainer).model_validate({"model": start.name}), "each name that is offered is valid"
