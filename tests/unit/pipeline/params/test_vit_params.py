"""The schema of vit's params, without transformers."""

import pytest

from core.domain.errors import ParamsInvalid
from pipeline.params.catalogue import default_trainer, params_of, validate_params
from pipeline.params.vit import SCRATCH_NAMES, VIT_NAME


@pytest.mark.parametrize("model", ["google/vit-base-patch16-224-in21k", "microsoft/resnet-18", "ours", *SCRATCH_NAMES])
def test_a_model_is_a_name(model: str) -> None:
    assert validate_params("vit", {"model": model}).model_dump()["model"] == model


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "../ours"),
        ("model", "/etc/passwd"),
        ("model", "a/b/c"),
        ("model", "vit-unknown-scratch"),
        ("freeze_layers", 13),
        ("freeze_layers", -1),
        ("image_size", 40),
        ("label_smoothing", 1),
        ("warmup", 1),
        ("crop", 0),
        ("best_by", "loss"),
        ("device", "gpu"),
        ("unknown", 1),
    ],
)
def test_each_bad_param_is_named(field: str, value: object) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        validate_params("vit", {field: value})
    assert [error["field"] for error in caught.value.facts["errors"]] == [f"params.{field}"]


def test_classification_trains_with_vit_by_default() -> None:
    assert default_trainer("classification") == "vit"


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("google/vit-base-patch16-224-in21k", ("base", "16", "224")),
        ("facebook/deit-tiny-patch16-224", ("tiny", "16", "224")),
        ("vit-large-patch32-384", ("large", "32", "384")),
        ("microsoft/resnet-18", None),
        ("org/my-vit-base-patch16-224", None),
    ],
)
def test_a_name_may_define_its_architecture(name: str, architecture: tuple[str, str, str] | None) -> None:
    match = VIT_NAME.search(name)
    assert (match and (match["size"], match["patch"], match["side"])) == architecture


@pytest.mark.parametrize(
    ("trainer", "written", "meant"),
    [("vit", "imgsz", "image_size"), ("vit", "lr0", "lr"), ("yolo", "image_size", "imgsz"), ("clip", "lr0", "lr")],
)
def test_a_param_of_another_trainer_is_answered_with_the_name_that_this_one_takes(
    trainer: str, written: str, meant: str
) -> None:
    with pytest.raises(ParamsInvalid, match=f"did you mean '{meant}'"):
        validate_params(trainer, {written: 64})
    assert meant in params_of(trainer).model_fields
    with pytest.raises(ParamsInvalid, match="there are batch"):
        validate_params("clip", {"imgsz": 64})
