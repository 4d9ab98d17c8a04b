"""Training params of the `clip` trainer: images and words in one space.

One schema for the API, the command line and the child process. No heavy library is imported here.
"""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

_ONE_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MODEL_NAME = rf"^{_ONE_PART}(/{_ONE_PART})?$"
DEFAULT_MODEL = "openai/clip-vit-base-patch32"
DEFAULT_TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "an image of {}.")

MAX_TEXTS = 100  # for a class; the largest published list of templates has 80
MAX_CLASSES = 10_000


def _with_a_place(value: str) -> str:
    if "{}" not in value:
        raise ValueError("a template has {} where the name of the class goes")
    return value


Text = Annotated[str, Field(min_length=1, max_length=300)]  # 77 tokens are all that CLIP reads
Template = Annotated[Text, AfterValidator(_with_a_place)]
Templates = Annotated[tuple[Template, ...], Field(min_length=1, max_length=MAX_TEXTS)]
Prompts = Annotated[
    dict[str, Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_TEXTS)]], Field(max_length=MAX_CLASSES)
]


class ClipParams(BaseModel):
    """What a `clip` run can be told. Fractions and probabilities are 0 to 1. `zero-shot` reads no param below `prompts`
    but `batch` and those of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        DEFAULT_MODEL,
        pattern=MODEL_NAME,
        max_length=200,
        description="A CLIP model: its name on the hub, or a folder of the weights folder.",
        examples=[DEFAULT_MODEL, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"],
    )
    pretrained: Literal["required"] = Field("required", description="CLIP knows nothing without its weights.")
    mode: Literal["zero-shot", "linear-probe", "fine-tune"] = Field(
        "zero-shot",
        description="`zero-shot`: no training, each class is what its prompts say. `linear-probe`: a linear head on what the image tower sees, which stays as it is. `fine-tune`: the image tower learns to say what the prompts say.",
    )
    templates: Templates = Field(
        DEFAULT_TEMPLATES,
        description="Sentences with `{}` for the name of the class, its underscores as spaces. Their embeddings are averaged.",
        examples=[["a photo of a person {}.", "a person who is {}."]],
    )
    prompts: Prompts = Field(
        default_factory=dict,
        description="Whole sentences for a class, in place of the templates, by the name of the class.",
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
        0.1, ge=0, lt=1, description="Part of the steps in which the learning rate rises; then it falls as a cosine."
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decay of the weights, as AdamW has it.")
    freeze_layers: int = Field(
        0,
        ge=0,
        le=64,
        description="Fine-tune: keep the embeddings and the first so many layers of the image tower as they are.",
    )
    crop: float = Field(
        0.7, gt=0, le=1, description="Fine-tune: smallest share of an image that a random crop keeps; 1: no crop."
    )
    fliplr: float = Field(0.5, ge=0, le=1, description="Fine-tune: probability of a left-right flip, in training only.")

    best_by: Literal["accuracy", "f1"] = Field(
        "accuracy",
        description="What makes a model the best, on the validation split, and of equals the lower loss; `f1` is the mean over classes.",
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
    half: bool = Field(True, description="Half precision where the GPU has bfloat16; a CPU always computes in full.")
    workers: int = Field(4, ge=0, le=64, description="Processes that load images for a GPU; a CPU loads by itself.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Same seed, data and machine: same model.")

    def misfits(self, classes: Collection[str]) -> list[dict[str, str]]:
        """[{field, message}] for each class that is named here and not there."""
        unknown = sorted(set(self.prompts) - set(classes))
        return [{"field": f"prompts.{name}", "message": "the dataset has no such class"} for name in unknown]

    @field_validator("model")
    @classmethod
    def name_no_path(cls, value: str) -> str:
        if ".." in value:
            raise ValueError("a name, not a path")
        return value
