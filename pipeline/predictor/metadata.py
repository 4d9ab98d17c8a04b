"""What an exported model says about itself: how its input is made and what its output means.

It is part of the file (a metadata property of ONNX, an entry of OpenVINO's `rt_info`), so that a prediction needs
nothing else, and no default of a library decides about it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

KEY = "darkroom"  # of the property
SCHEMA = 1

Fit = Literal["letterbox", "stretch", "shortest-edge"]
Interpolation = Literal["linear", "bilinear", "bicubic"]
OutputForm = Literal["anchors", "queries", "kept-boxes", "logits", "probabilities"]


class MetadataInvalid(ValueError):
    """The file has no metadata of ours, or one that this version does not read."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From an upright RGB image of 8 bits to one (3, height, width) float32 array, channels in the order R, G, B.

    `fit`: `letterbox` keeps the aspect ratio and pads both sides with `pad`; `stretch` does not keep it;
    `shortest-edge` scales the shorter side to `resize_to` and takes the centre. `interpolation`: `linear` reads the
    four neighbours (OpenCV's INTER_LINEAR); `bilinear` and `bicubic` widen their filter when they reduce (Pillow's).
    `stride`: 0 pads to the whole `width` x `height`; another one only to the next multiple of it.
    `reduce`: large JPEGs are decoded at a half, a quarter or an eighth of their size, which is many times faster. A
    model trained with `linear` answers otherwise then: it is on only where it was measured to make no difference.
    Values are `(v / 255 - mean) / std`.
    """

    width: int
    height: int
    fit: Fit
    interpolation: Interpolation
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: int = 114
    stride: int = 0
    resize_to: int = 0
    reduce: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """The first output of the model, for a batch of B.

    `anchors`     (B, 4 + classes, N): centre x, centre y, width, height in pixels of the input, then a score per class
    `queries`     (B, N, 4 + classes): the same, the box as shares of the input's sides; needs no suppression
    `kept-boxes`  (B, N, 6): x1, y1, x2, y2 in pixels of the input, score, class; suppression is part of the model
    `logits`      (B, classes); `probabilities` the same after a softmax, which models of other exporters may contain
    The rest are the defaults of a prediction: the lowest score that is listed, the IoU above which the lower of two
    boxes of a class is suppressed, and the largest number of boxes.
    """

    form: OutputForm
    min_score: float = 0.25
    iou: float = 0.7
    max_boxes: int = 300


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """`about`: facts for people and receipts, such as the name of the version, sha256, fingerprint, precision."""

    kind: Literal["detection", "classification"]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    output: Output
    about: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, sort_keys=True)


def read_metadata(text: str | None) -> ExportMetadata:
    """Raises MetadataInvalid."""
    if text is None:
        raise MetadataInvalid("The file has no description of its input and output: it is no export of this service.")
    try:
        content = json.loads(text)
        if content.pop("schema") != SCHEMA:
            raise MetadataInvalid("The export is of a later version of this service.")
        preprocessing = content.pop("preprocessing")
        for name in ("mean", "std"):
            preprocessing[name] = tuple(preprocessing[name])
        return ExportMetadata(
            kind=content["kind"],
            classes=tuple(content["classes"]),
            preprocessing=Preprocessing(**preprocessing),
            output=Output(**content["output"]),
            about=content["about"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataInvalid(f"The description in the export cannot be read: {error}") from error
