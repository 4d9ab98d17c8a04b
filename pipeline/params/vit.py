"""Training params of the `vit` trainer: any image classifier of transformers.

One schema for the API, the command line and the child process. No heavy library is imported here.
"""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# Made from a config, never from weights: small enough for a CPU, for small images and few of them.
SCRATCH_NAMES = ("vit-nano-scratch", "vit-mini-scratch", "vit-tiny-scratch", "vit-small-scratch", "resnet-tiny-scratch")
SCRATCH_SIZE = 64  # px; the side of their input when image_size is empty

# `google/vit-base-patch16-224-in21k`: such a name says all that is needed to make the architecture without weights.
VIT_NAME = re.compile(
    r"(?:^|/)(?:vit|deit)-(?P<size>tiny|small|base|large|huge)-patch(?P<patch>\d{1,2})-(?P<side>\d{2,3})(?:-|$)"
)

_ONE_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class VitParams(BaseModel):
    """What a `vit` training can be told. Fractions and probabilities are 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "google/vit-base-patch16-224-in21k",
        pattern=rf"^{_ONE_PART}(/{_ONE_PART})?$",
        max_length=200,
        description=f"An image classifier: its name on the hub, a folder of the weights folder, or a small one made from a config: {', '.join(SCRATCH_NAMES)}.",
        examples=["google/vit-base-patch16-224-in21k", "microsoft/resnet-18", "vit-tiny-scratch"],
    )
    pretrained: Literal["auto", "required", "never"] = Field(
        "auto",
        description="`auto`: start from pretrained weights where they can be had, else from scratch, and say so. `required`: fail without them. `never`: from scratch.",
    )
    freeze_layers: int = Field(
        0, ge=0, le=12, description="Keep the embeddings and the first so many layers as they are; 0 trains all."
    )

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the training split.")
    batch: int = Field(16, ge=1, le=1024, description="Images per step.")
    image_size: int | None = Field(
        None,
        ge=32,
        le=1024,
        multiple_of=16,
        description=f"Side of the square input, in pixels. Empty: that of the weights, {SCRATCH_SIZE} for the small ones.",
    )
    lr: float | None = Field(
        None, gt=0, le=1, description="Highest learning rate. Empty: 5e-5 from weights, 1e-3 from scratch."
    )
    scheduler: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="How the learning rate goes from its highest to nothing, or stays."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Part of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decay of the weights, as AdamW has it.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each label given to all classes alike.")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="`balanced`: a mistake counts by the rarity of its class in the training split."
    )
    crop: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Smallest share of an image that a random crop keeps, in training only; 1: no crop.",
    )
    fliplr: float = Field(0.5, ge=0, le=1, description="Probability of a left-right flip, in training only.")

    best_by: Literal["accuracy", "f1"] = Field(
        "accuracy", description="What makes a model the best, on the validation split; `f1` is the mean over classes."
    )
    patience: int = Field(
        10, ge=0, le=10_000, description="End after this many epochs without a better model; 0 never ends early."
    )
    max_minutes: float | None = Field(
        None, gt=0, le=60 * 24 * 30, description="End after this time, all attempts together, and keep the best so far."
    )
    suspect_labels: bool = Field(True, description="Rank all images by how likely their label is wrong.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda|(cuda:)?\d{1,2})$",
        description="`auto` takes a GPU when there is one; else `cpu`, `mps`, `cuda` or the number of one GPU.",
    )
    half: bool = Field(True, description="Half precision where the GPU has it; a CPU always computes in full.")
    workers: int = Field(4, ge=0, le=64, description="Processes that load images for a GPU; a CPU loads by itself.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Same seed, data and machine: same model.")

    @field_validator("model")
    @classmethod
    def know_the_small_ones(cls, value: str) -> str:
        if value.endswith("-scratch") and value not in SCRATCH_NAMES:
            raise ValueError(f"no architecture {value!r}; made from a config are {', '.join(SCRATCH_NAMES)}")
        if ".." in value:
            raise ValueError("a name, not a path")
        return value
