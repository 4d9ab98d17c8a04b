"""Params of the `clip` trainer: images and sentences are embedded in the same space."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.domain.limits import MAX_CLASSES
from pipeline.params.common import (
    OUR_VERSIONS,
    BestBy,
    Device,
    MaxMinutes,
    ModelName,
    Patience,
    Seed,
    SuspectLabels,
    Workers,
)

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
DEFAULT_TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "a picture of {}.")

MAX_TEXTS = 100  # per class; the largest published list of templates has 80


def _has_placeholder(value: str) -> str:
    if "{}" not in value:
        raise ValueError("a template needs {} in place of the name of the class")
    return value


Text = Annotated[str, Field(min_length=1, max_length=300)]  # CLIP reads 77 tokens at most
Template = Annotated[Text, AfterValidator(_has_placeholder)]
Templates = Annotated[tuple[Template, ...], Field(min_length=1, max_length=MAX_TEXTS)]
Prompts = Annotated[
    dict[str, Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_TEXTS)]], Field(max_length=MAX_CLASSES)
]


class ClipParams(BaseModel):
    """Params of a `clip` run. Fractions and probabilities are 0 to 1.

    Of the params below `prompts`, `zero-shot` uses only `batch`, `suspect_labels` and those of the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelName = Field(
        DEFAULT_MODEL,
        description=f"A CLIP model: its name on the hub, or a folder in the weights folder. {OUR_VERSIONS}",
        examples=[DEFAULT_MODEL, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "birds@production"],
    )
    pretrained: Literal["required"] = Field("required", description="CLIP always needs its pretrained weights.")
    mode: Literal["zero-shot", "linear-probe", "fine-tune"] = Field(
        "zero-shot",
        description="`zero-shot`: no training, images are compared with the prompts. `linear-probe`: a linear head on the embeddings of the frozen image tower. `fine-tune`: the image tower is trained towards the embeddings of the prompts.",
    )
    templates: Templates = Field(
        DEFAULT_TEMPLATES,
        description="Sentences with `{}` for the name of the class, in which underscores become spaces. Their embeddings are averaged.",
        examples=[["a photo of a person {}.", "a person who is {}."]],
    )
    prompts: Prompts = Field(
        default_factory=dict,
        description="Complete sentences for a class, instead of the templates, by the name of the class.",
        examples=[{"using_laptop": ["a photo of a person typing on a laptop."]}],
    )

    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Passes over the training split. Empty: 100 for a linear probe, 10 for a fine-tune.",
    )
    batch: int = Field(32, ge=1, le=4096, description="Images per step.")
    lr: float | None = Field(
        None, gt=0, le=1, description="Highest learning rate. Empty: 1e-3 for a linear probe, 1e-5 for a fine-tune."
    )
    warmup: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises; then it falls as a cosine."
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.")
    freeze_layers: int = Field(
        0,
        ge=0,
        le=64,
        description="Fine-tune: freeze the embeddings and this number of layers of the image tower.",
    )
    crop: float = Field(
        0.7, gt=0, le=1, description="Fine-tune: smallest share of an image that a random crop keeps; 1: no crop."
    )
    fliplr: float = Field(0.5, ge=0, le=1, description="Fine-tune: probability of a left-right flip, in training only.")

    best_by: BestBy = Field(
        "accuracy",
        description="The metric on the validation split that chooses the best model, of equal ones the lower loss; `f1` is the mean over classes.",
    )
    patience: Patience = 10
    max_minutes: MaxMinutes = None
    suspect_labels: SuspectLabels = True
    device: Device = "auto"
    half: bool = Field(
        True, description="Half precision where the GPU supports bfloat16; a CPU always computes in full precision."
    )
    workers: Workers = 4
    seed: Seed = 0

    def misfits(self, classes: Collection[str]) -> list[dict[str, str]]:
        """[{field, message}] for each class in `prompts` that the dataset does not have."""
        unknown = sorted(set(self.prompts) - set(classes))
        return [{"field": f"prompts.{name}", "message": "the dataset has no such class"} for name in unknown]
