"""What an exported model says about itself: how its input is made and what its output means.

It is part of the file (a metadata property of ONNX, an entry of OpenVINO's `rt_info`), so that a prediction needs
nothing else, and no default of a library decides about it.
"""

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, get_args

KEY = "darkroom"  # of the property
SCHEMA = 1
MAX_SIDE = 4096  # px of an input, twice the largest that models are trained at: 200 MB
MAX_CLASSES, MAX_NAME_BYTES = 10_000, 1_000  # as datasets have them
MAX_BOXES = 10_000  # suppression takes three seconds for so many
_MAX_CHARACTERS = 16 * 1024**2  # of the whole description

Fit = Literal["letterbox", "stretch", "shortest-edge"]
Interpolation = Literal["linear", "bilinear", "bicubic"]
Kind = Literal["detection", "classification"]
OutputForm = Literal["anchors", "queries", "ranked-queries", "kept-boxes", "logits", "probabilities"]
OF_CLASSIFIERS = ("logits", "probabilities")


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
    `ranked-queries`  (B, N, 6): such a box, score, class; best first
    `kept-boxes`  (B, N, 6): x1, y1, x2, y2 in pixels of the input, score, class; suppression is part of the model
    `logits`      (B, classes); `probabilities` the same after a softmax, which models of other exporters may contain
    The rest are the defaults of a prediction: the score above which boxes are listed, the IoU above which the lower of
    two boxes of a class is suppressed, and the largest number of boxes. `thresholds`: the score of each class instead,
    in their order, or nothing; a classifier marks an answer that is not above that of its class as unsure.
    """

    form: OutputForm
    min_score: float = 0.25
    iou: float = 0.7
    max_boxes: int = 300
    thresholds: tuple[float, ...] = ()

    @property
    def lowest(self) -> float:
        """No box of this score or less is listed."""
        return min(self.thresholds, default=self.min_score)


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """`about`: facts for people and receipts, such as the name of the version, sha256, fingerprint, precision."""

    kind: Kind
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
    if len(text) > _MAX_CHARACTERS:
        raise MetadataInvalid(f"The description in the export has more than {_MAX_CHARACTERS} characters.")
    try:
        metadata = _parsed(json.loads(text))
        wrong = [name for name, sound in _rules(metadata) if not sound]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise MetadataInvalid(f"The description in the export cannot be read: {error}") from error
    if wrong:
        raise MetadataInvalid(f"The description in the export contradicts itself or is out of range: {wrong[0]}.")
    return metadata


def _parsed(content: Any) -> ExportMetadata:
    if content.pop("schema") != SCHEMA:
        raise ValueError("it is of another version of this service")
    preprocessing = content.pop("preprocessing")
    for name in ("mean", "std"):
        preprocessing[name] = tuple(preprocessing[name])
    output = content["output"]
    output["thresholds"] = tuple(output.get("thresholds", ()))
    return ExportMetadata(
        kind=content["kind"],
        classes=tuple(content["classes"]),
        preprocessing=Preprocessing(**preprocessing),
        output=Output(**output),
        about=dict(content["about"]),
    )


def _rules(metadata: ExportMetadata) -> list[tuple[str, bool]]:
    """(what is ruled, whether it is sound): of a hostile file nothing is allocated, and no division fails, by it."""
    wanted, output, classes = metadata.preprocessing, metadata.output, metadata.classes
    cropped = wanted.fit == "shortest-edge"
    return [
        ("kind", metadata.kind in get_args(Kind)),
        ("output form", output.form in get_args(OutputForm)),
        (
            "its output is of another kind",
            (metadata.kind == "detection") == (output.form not in OF_CLASSIFIERS),
        ),
        ("classes", 0 < len(classes) <= MAX_CLASSES and all(_is_name(name) for name in classes)),
        ("width", _is_whole(wanted.width, 1, MAX_SIDE)),
        ("height", _is_whole(wanted.height, 1, MAX_SIDE)),
        ("fit", wanted.fit in get_args(Fit)),
        ("interpolation", wanted.interpolation in get_args(Interpolation)),
        ("mean", len(wanted.mean) == 3 and all(_is_number(value, -1e3, 1e3) for value in wanted.mean)),
        ("std", len(wanted.std) == 3 and all(_is_number(value, 1e-6, 1e3) for value in wanted.std)),
        ("pad", _is_whole(wanted.pad, 0, 255)),
        ("stride", _is_whole(wanted.stride, 0, MAX_SIDE)),
        ("resize_to", _is_whole(wanted.resize_to, 1 if cropped else 0, MAX_SIDE)),
        ("reduce", isinstance(wanted.reduce, bool)),
        ("min_score", _is_number(output.min_score, 0, 1)),
        ("thresholds", all(_is_number(value, 0, 1) for value in output.thresholds)),
        ("one threshold for each class", len(output.thresholds) in (0, len(classes))),
        ("iou", _is_number(output.iou, 0, 1)),
        ("max_boxes", _is_whole(output.max_boxes, 1, MAX_BOXES)),
    ]


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and isfinite(value) and low <= value <= high


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) <= MAX_NAME_BYTES
