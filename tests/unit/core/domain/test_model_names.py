"""The grammar of models and the slugs in it."""

import re

import pytest

from core.domain.model_names import OWN_VERSION, ModelName, parse_model_name, parse_version_name
from core.domain.slugs import MAX_SLUG, is_slug, slug_with_suffix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raccoons", ModelName("raccoons")),
        ("raccoons/v3", ModelName("raccoons", version="v3")),
        ("raccoons/latest", ModelName("raccoons", version="latest")),
        ("raccoons@production", ModelName("raccoons", alias="production")),
        ("v3", ModelName(None, version="v3")),
        ("latest", ModelName(None, version="latest")),
        ("@blue_1", ModelName(None, alias="blue_1")),
        ("2026-raccoons", ModelName("2026-raccoons")),
    ],
)
def test_a_name_of_a_model(text: str, expected: ModelName) -> None:
    assert parse_model_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "/v3",
        "raccoons/",
        "raccoons/v0",
        "raccoons/3",
        "raccoons@",
        "raccoons@Production",
        "raccoons@v3/x",
        "yolov8n.pt",
        "google/vit-base-patch16-224",
        "Raccoons",
        "a--b",
        "-a",
        "d2",
        "v3/v3",
        "raccoons/v3@production",
        "raccoons v3",
        "räume/v1",
    ],
)
def test_what_is_no_name_of_a_model(text: str) -> None:
    assert parse_model_name(text) is None


@pytest.mark.parametrize("text", ["v3", "latest", "@blue_1", "raccoons/v3", "raccoons/latest", "raccoons@production"])
def test_a_version_is_named_beyond_doubt(text: str) -> None:
    assert parse_version_name(text) == parse_model_name(text)
    assert re.fullmatch(OWN_VERSION, text)


@pytest.mark.parametrize("text", ["raccoons", "yolov8n", "yolov8n.pt", "v0", "raccoons/", "@", "microsoft/resnet-18"])
def test_what_may_be_weights_is_no_version(text: str) -> None:
    assert parse_version_name(text) is None
    assert not re.fullmatch(OWN_VERSION, text)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Raccoons 2026.zip", "raccoons-2026-w8y1abcd"),
        ("Bäume & Sträucher", "baume-straucher-w8y1abcd"),
        ("狸.zip", "dataset-w8y1abcd"),
        ("", "dataset-w8y1abcd"),
        ("x" * 200, f"{'x' * (MAX_SLUG - 9)}-w8y1abcd"),
        ("a" * 53 + "  b", f"{'a' * 53}-w8y1abcd"),
    ],
)
def test_the_slug_of_an_upload_that_names_no_project(name: str, slug: str) -> None:
    made = slug_with_suffix(name, "job_01kaj8x3v0q4f7m2n9r5w8y1abcd")
    assert made == slug and is_slug(made)
