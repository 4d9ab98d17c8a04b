"""The schema of clip's params, without transformers."""

import pytest

from core.domain.errors import ParamsInvalid
from pipeline.params.catalogue import validate_params
from pipeline.params.clip import MAX_TEXTS


def test_the_default_is_zero_shot_with_the_default_model() -> None:
    params = validate_params("clip", {}).model_dump(mode="json")
    assert (params["mode"], params["model"]) == ("zero-shot", "openai/clip-vit-base-patch32")
    assert params["pretrained"] == "required"
    assert all("{}" in template for template in params["templates"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "few-shot"),
        ("model", "../ours"),
        ("model", "a/b/c"),
        ("pretrained", "never"),
        ("templates", []),
        ("templates.0", ["a photo of a thing"]),
        ("templates.0", ["{}" + "x" * 299]),
        ("templates", ["{}"] * (MAX_TEXTS + 1)),
        ("prompts.box", {"box": []}),
        ("prompts.box", {"box": "a photo"}),
        ("freeze_layers", -1),
        ("epochs", 0),
        ("lr", 0),
    ],
)
def test_each_bad_param_is_named(field: str, value: object) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        validate_params("clip", {field.partition(".")[0]: value})
    assert caught.value.facts["errors"][0]["field"] == f"params.{field}"
