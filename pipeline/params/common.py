"""Params that several trainers share. Fractions and probabilities are 0 to 1."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from core.domain.model_names import OWN_VERSION, parse_version_name

PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MODEL_NAME = rf"^({PART}(/{PART})?|{OWN_VERSION})$"  # `name`, `org/name`, or a version of ours
OUR_VERSIONS = (
    "Or a version of ours to go on from: `v3` or `@production` of the dataset's project, `raccoons/v3`, "
    "`raccoons@production`; the rows of its head are kept for the classes that both have."
)


def _is_no_path(value: str) -> str:
    if ".." in value:
        raise ValueError("a name, not a path")
    return value


def _starts_from_it(value: str, info: ValidationInfo) -> str:
    if value == "never" and parse_version_name(str(info.data.get("model", ""))):
        raise ValueError("`model` names a version of ours, whose weights are always the start; leave `pretrained` out")
    return value


ModelName = Annotated[str, Field(pattern=MODEL_NAME, max_length=200), AfterValidator(_is_no_path)]
Pretrained = Annotated[
    Literal["auto", "required", "never"],
    Field(
        description="`auto`: start from pretrained weights where they are found, else from scratch, with a note. `required`: fail without them. `never`: from scratch."
    ),
    AfterValidator(_starts_from_it),
]
BestBy = Annotated[
    Literal["accuracy", "f1"],
    Field(description="The metric on the validation split that chooses the best model; `f1` is the mean over classes."),
]
Patience = Annotated[
    int,
    Field(ge=0, le=10_000, description="End after this number of epochs without a better model; 0 never ends early."),
]
MaxMinutes = Annotated[
    float | None,
    Field(gt=0, le=60 * 24 * 30, description="End after this time, all attempts together, and keep the best so far."),
]
SuspectLabels = Annotated[bool, Field(description="Rank all images by how likely their label is wrong.")]
Device = Annotated[
    str,
    Field(
        pattern=r"^(auto|cpu|mps|cuda|(cuda:)?\d{1,2})$",
        description="`auto` uses a GPU where there is one; else `cpu`, `mps`, `cuda` or the number of one GPU.",
    ),
]
Workers = Annotated[
    int, Field(ge=0, le=64, description="Processes that load images for a GPU; on a CPU the trainer loads them itself.")
]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1, description="Same seed, data and machine: same model.")]
