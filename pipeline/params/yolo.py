"""Params of the `yolo` trainer, with the names of ultralytics.

The names of architectures are listed here, so that a request is checked without importing ultralytics; a test compares
them with the files of the installed version.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.domain.model_names import OWN_VERSION, parse_version_name
from pipeline.params.common import OUR_VERSIONS, PART, Device, MaxMinutes, Patience, Pretrained, Seed, Workers

SIZES = "nsmlx"

# family -> sizes; the size follows the number: yolov8n, yolov8n-p2. Open-vocabulary families (world, yoloe) are left
# out: they need a text encoder, and are not trained on a closed list of classes.
_SIZED: dict[str, str] = {
    "yolov5": SIZES,
    "yolov5-p6": SIZES,
    "yolov6": SIZES,
    "yolov8": SIZES,
    "yolov8-ghost": SIZES,
    "yolov8-ghost-p2": SIZES,
    "yolov8-ghost-p6": SIZES,
    "yolov8-p2": SIZES,
    "yolov8-p6": SIZES,
    "yolov8-rtdetr": SIZES,
    "yolo11": SIZES,
    "yolo12": SIZES,
    "yolo26": SIZES,
    "yolo26-p2": SIZES,
    "yolo26-p6": SIZES,
}
_UNSIZED: tuple[str, ...] = (
    *("yolov3", "yolov3-spp", "yolov3-tiny"),
    *("yolov9t", "yolov9s", "yolov9m", "yolov9c", "yolov9e"),
    *("yolov10n", "yolov10s", "yolov10m", "yolov10b", "yolov10l", "yolov10x"),
    *("rtdetr-l", "rtdetr-x", "rtdetr-resnet50", "rtdetr-resnet101"),
)


def model_names() -> tuple[str, ...]:
    """The names of all architectures, sorted."""
    sized = (_with_size(family, size) for family, sizes in _SIZED.items() for size in sizes)
    return tuple(sorted((*sized, *_UNSIZED)))


def _with_size(family: str, size: str) -> str:
    base, dash, rest = family.partition("-")
    return f"{base}{size}{dash}{rest}"


def weights_names(model: str) -> tuple[str, ...]:
    """File names of the pretrained weights of `model` in a weights folder; the first is the one on the hub.

    The hub adds a `u` to the weights of YOLOv3 and YOLOv5 (`yolov5nu.pt`) and writes p6 as `yolov5n6u.pt`.
    """
    if model.endswith(".pt"):
        return (model,)
    if model.startswith("yolov5") and model.endswith("-p6"):
        return (f"{model.removesuffix('-p6')}6u.pt", f"{model}.pt")
    if model.startswith(("yolov3", "yolov5")):
        return (f"{model}u.pt", f"{model}.pt")
    return (f"{model}.pt",)


class YoloParams(BaseModel):
    """Params of a `yolo` training. Fractions and probabilities are 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "yolov8n",
        pattern=rf"^({PART}|{OWN_VERSION})$",
        max_length=100,
        description=f"An architecture (`yolov8n`, `yolo11s`, `yolo26n`, ...) or the name of a `.pt` file in the weights folder. {OUR_VERSIONS}",
        examples=["yolov8n", "yolo11s", "our-best.pt", "raccoons@production"],
    )
    pretrained: Pretrained = "auto"

    epochs: int = Field(100, ge=1, le=10_000, description="Passes over the training split.")
    batch: int = Field(
        16, ge=1, le=1024, description="Images per step. Halved where the first epoch does not fit into memory."
    )
    nbs: int = Field(
        64,
        ge=1,
        le=1024,
        description="Images per update of the weights: gradients of smaller batches are accumulated. Lower it to `batch` for a small dataset.",
    )
    # With less than 64 px a last batch of one image has a single value per channel, and ultralytics refuses to train.
    imgsz: int = Field(640, ge=64, le=4096, multiple_of=32, description="Side of the square input, in pixels.")
    patience: Patience = 50
    max_minutes: MaxMinutes = None
    freeze: int | None = Field(None, ge=0, le=100, description="Freeze this number of layers, from the first on.")
    device: Device = "auto"
    workers: Workers = 8
    seed: Seed = 0

    optimizer: Literal["auto", "SGD", "MuSGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSProp"] = Field(
        "auto",
        description="`auto` chooses the optimizer and lr0 by the number of steps. With an lr0 it is SGD from 0.005 up, AdamW below.",
    )
    lr0: float | None = Field(
        None,
        gt=0,
        le=1,
        description="First learning rate, usually 0.01 for SGD and 0.001 for AdamW. Empty: chosen with the optimizer.",
    )
    lrf: float = Field(0.01, gt=0, le=1, description="Last learning rate, as a fraction of lr0.")
    cos_lr: bool = Field(False, description="Cosine instead of linear decay of the learning rate.")
    momentum: float = Field(0.937, ge=0, lt=1, description="Momentum of SGD, beta1 of Adam.")
    weight_decay: float = Field(0.0005, ge=0, le=0.1, description="L2 penalty.")
    warmup_epochs: float = Field(3.0, ge=0, le=100, description="Epochs of rising learning rate; may be a fraction.")

    mosaic: float = Field(1.0, ge=0, le=1, description="Probability of four images joined into one.")
    close_mosaic: int = Field(10, ge=0, le=10_000, description="No mosaic in this number of epochs at the end.")
    mixup: float = Field(0.0, ge=0, le=1, description="Probability of blending two images.")
    cutmix: float = Field(0.0, ge=0, le=1, description="Probability of pasting a part of another image.")
    fliplr: float = Field(0.5, ge=0, le=1, description="Probability of a left-right flip.")
    flipud: float = Field(0.0, ge=0, le=1, description="Probability of an upside-down flip.")
    hsv_h: float = Field(0.015, ge=0, le=1, description="Hue jitter, as a fraction.")
    hsv_s: float = Field(0.7, ge=0, le=1, description="Saturation jitter, as a fraction.")
    hsv_v: float = Field(0.4, ge=0, le=1, description="Brightness jitter, as a fraction.")
    degrees: float = Field(0.0, ge=0, le=180, description="Rotation by up to this number of degrees either way.")
    translate: float = Field(0.1, ge=0, le=1, description="Shift by up to this fraction of the image.")
    scale: float = Field(0.5, ge=0, lt=1, description="Zoom by up to this fraction in or out.")
    shear: float = Field(0.0, ge=0, le=90, description="Shear by up to this number of degrees.")
    perspective: float = Field(0.0, ge=0, le=0.001, description="Perspective distortion.")

    @field_validator("model")
    @classmethod
    def name_an_architecture_or_weights(cls, value: str) -> str:
        if (value.endswith(".pt") and ".." not in value) or parse_version_name(value):
            return value
        name = value.removesuffix(".yaml")
        if name not in model_names():
            raise ValueError(
                f"unknown architecture {value!r}; for example yolov8n, yolo11s, yolo26m, a file NAME.pt, or a version "
                "of ours: v3, @production, PROJECT/v3, PROJECT@production"
            )
        return name
