"""Params of the `vit` trainer: any image classifier of transformers."""

import re
from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.params.common import (
    OUR_VERSIONS,
    BestBy,
    Device,
    MaxMinutes,
    ModelName,
    Patience,
    Pretrained,
    Seed,
    SuspectLabels,
    Workers,
)

# Built from a config, never from weights: small enough for a CPU, for few and small images.
SCRATCH_NAMES = ("vit-nano-scratch", "vit-mini-scratch", "vit-tiny-scratch", "vit-small-scratch", "resnet-tiny-scratch")
SCRATCH_SIZE = 64  # px; the side of their input where image_size is empty

# Such names (`google/vit-base-patch16-224-in21k`) define the architecture, so that it can be built without weights.
VIT_NAME = re.compile(
    r"(?:^|/)(?:vit|deit)-(?P<size>tiny|small|base|large|huge)-patch(?P<patch>\d{1,2})-(?P<side>\d{2,3})(?:-|$)"
)


class VitParams(BaseModel):
    """Params of a `vit` training. Fractions and probabilities are 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelName = Field(
        "google/vit-base-patch16-224-in21k",
        description=f"An image classifier: its name on the hub, a folder in the weights folder, or a small one built from a config: {', '.join(SCRATCH_NAMES)}. {OUR_VERSIONS}",
        examples=["google/vit-base-patch16-224-in21k", "microsoft/resnet-18", "vit-tiny-scratch", "birds/v3"],
    )
    pretrained: Pretrained = "auto"
    freeze_layers: int = Field(
        0, ge=0, le=12, description="Freeze the embeddings and this number of layers; 0 trains all."
    )

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the training split.")
    batch: int = Field(16, ge=1, le=1024, description="Images per step.")
    image_size: int | None = Field(
        None,
        ge=32,
        le=1024,
        multiple_of=16,
        description=f"Side of the square input, in pixels. Empty: that of the weights, {SCRATCH_SIZE} for the small models.",
    )
    lr: float | None = Field(
        None, gt=0, le=1, description="Highest learning rate. Empty: 5e-5 from weights, 1e-3 from scratch."
    )
    scheduler: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="How the learning rate falls from its highest value to 0, or stays constant."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label that is spread evenly over all classes."
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="`balanced`: the loss of an image is weighted by the rarity of its class in the training split.",
    )
    crop: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Smallest share of an image that a random crop keeps, in training only; 1: no crop.",
    )
    fliplr: float = Field(0.5, ge=0, le=1, description="Probability of a left-right flip, in training only.")

    best_by: BestBy = "accuracy"
    patience: Patience = 10
    max_minutes: MaxMinutes = None
    suspect_labels: SuspectLabels = True
    device: Device = "auto"
    half: bool = Field(
        True, description="Half precision where the GPU supports it; a CPU always computes in full precision."
    )
    workers: Workers = 4
    seed: Seed = 0

    @field_validator("model")
    @classmethod
    def name_a_known_scratch_model(cls, value: str) -> str:
        if value.endswith("-scratch") and value not in SCRATCH_NAMES:
            raise ValueError(f"unknown architecture {value!r}; those without weights are {', '.join(SCRATCH_NAMES)}")
        close = get_close_matches(value, SCRATCH_NAMES, n=1, cutoff=0.9)
        if close and value not in SCRATCH_NAMES:
            raise ValueError(f"unknown architecture {value!r}; did you mean {close[0]}?")
        return value
