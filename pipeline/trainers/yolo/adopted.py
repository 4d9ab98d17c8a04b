"""A detector that was trained elsewhere: its tensors are put into a model that is built anew from its description.

A `.pt` file is a pickle. It is read with the allow-list of known classes, and even of those no method is called: what
could be hidden in their attributes (hooks, layers that load files) stays behind.
"""

import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.serialization import get_unsafe_globals_in_checkpoint as unsafe_globals
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

from core.domain.errors import WeightsUnavailable
from pipeline.trainers import AdoptedModel
from pipeline.trainers.model_refusal import Reason, checked_classes, refused
from pipeline.trainers.yolo.vendor import VERSIONS
from pipeline.trainers.yolo.weights import is_rtdetr, model_in, publish_weights, read_weights

WEIGHTS = "best.pt"
DEFAULT_SIDE, MAX_SIDE, MULTIPLE = 640, 2048, 32  # px
TRIAL_SIDE = 320  # px, of the first prediction; RT-DETR needs 300 places in its feature maps

# The layers of the detectors that ultralytics describes itself, without those that fetch other weights (TorchVision)
# or need the embedding of a text (WorldDetect, YOLOEDetect).
LAYERS = frozenset(
    {"Conv", "DWConv", "GhostConv", "LightConv", "Focus", "ConvTranspose", "nn.Upsample", "nn.Identity", "nn.Conv2d"}
    | {"nn.ConvTranspose2d", "nn.MaxPool2d", "nn.ZeroPad2d", "nn.BatchNorm2d", "Concat", "Index"}
    | {"Bottleneck", "BottleneckCSP", "C1", "C2", "C2f", "C3", "C3x", "C3TR", "C3Ghost", "C3k2", "C2fCIB", "RepC3"}
    | {"GhostBottleneck", "SPP", "SPPF", "SPPELAN", "ELAN1", "AConv", "ADown", "RepNCSPELAN4", "CBLinear", "CBFuse"}
    | {"PSA", "C2PSA", "C2fPSA", "SCDown", "A2C2f", "AIFI", "HGStem", "HGBlock", "ResNetLayer"}
    | {"Detect", "v10Detect", "RTDETRDecoder"}
)
_KNOWN_ROOTS = ("torch.", "ultralytics.", "collections.", "numpy.", "pathlib.")
HEADS = ("Detect", "v10Detect", "RTDETRDecoder")
_FIELDS = frozenset(
    {"nc", "scales", "scale", "depth_multiple", "width_multiple", "backbone", "head", "activation", "end2end"}
    | {"reg_max", "ch", "channels"}
)
_MAX_LAYERS, _MAX_REPEATS, _MAX_NUMBER, _MAX_TEXT = 500, 100, 16_384, 60
_MAX_NESTED = 6
_MAX_MODULES = 2_000  # repeats of all layers at the largest depth; the deepest stock detector has 200
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.[A-Za-z0-9]{1,20}\([\w=., -]{0,30}\)")


def adopt_yolo(source: Path, artifacts: Path) -> AdoptedModel:
    """Raises ModelRefused, WeightsUnavailable; any other exception means that the file is broken."""
    checkpoint = _read(source)
    given = model_in(checkpoint)
    attributes = vars(given)
    names = checked_classes(_ordered(attributes.get("names")))
    description = _description(attributes.get("yaml"), len(names))
    model = _built(description, rtdetr=is_rtdetr(given), classes=len(names))
    _fill(model, dict(_tensors(given)))
    model.names = dict(enumerate(names))
    side = _input_side(checkpoint.get("train_args"), attributes.get("args"))
    _try(deepcopy(model))  # RT-DETR keeps the anchors of its last input, which half precision would round
    publish_weights({"model": model, "train_args": {}}, artifacts / WEIGHTS, input_size=side)
    return AdoptedModel(
        weights=WEIGHTS,
        kind="detection",
        classes=names,
        input_size=side,
        versions=VERSIONS,
        facts={"architecture": "rtdetr" if is_rtdetr(model) else "yolo", "parameters": _count(model)},
    )


def _read(source: Path) -> dict[str, Any]:
    """Raises ModelRefused; it names what the pickle asked for and did not get."""
    try:
        return read_weights(source)
    except WeightsUnavailable as error:
        foreign = [name for name in unsafe_globals(source) if not name.startswith(_KNOWN_ROOTS)]
        if foreign:
            detail = f"It holds what is not on the list of known classes: {', '.join(foreign[:5])}. Nothing was run."
        else:
            detail = error.detail.replace(source.name, "The file")
        raise refused(Reason("", detail[:500])) from error


def _ordered(names: Any) -> list[Any]:
    """The names by the number of their class; empty where they are not numbered 0, 1, 2, ..."""
    if isinstance(names, list | tuple):
        return list(names)
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        return []
    return [names[number] for number in range(len(names))]


def _description(given: Any, classes: int) -> dict[str, Any]:
    """The architecture as ultralytics builds it, of plain values and known layers. Raises ModelRefused."""
    if not isinstance(given, dict) or not all(isinstance(given.get(part), list) for part in ("backbone", "head")):
        raise refused(Reason("", "The model does not describe its layers: save it with ultralytics 8 or later."))
    description = {name: deepcopy(value) for name, value in given.items() if name in _FIELDS}
    rows = [*description["backbone"], *description["head"]]
    if not 0 < len(rows) <= _MAX_LAYERS or not _is_plain(description) or not all(map(_is_row, rows)):
        raise refused(Reason("", "The description of the layers is not one of a detector."))
    if sum(row[1] for row in rows) * _largest_depth(description) > _MAX_MODULES:
        raise refused(Reason("", f"The description repeats its layers more than {_MAX_MODULES} times in all."))
    activation = description.get("activation")
    if activation is not None and not (isinstance(activation, str) and _ACTIVATION.fullmatch(activation)):
        raise refused(Reason("", "Its activation is not one of PyTorch's, such as nn.ReLU()."))
    unknown = sorted({str(row[2]) for row in rows} - LAYERS)
    if unknown:
        listed = ", ".join(name[:40] for name in unknown[:5])
        raise refused(Reason("", f"The model has layers that no supported detector has: {listed}."))
    if rows[-1][2] not in HEADS:
        raise refused(Reason("", f"The model ends in {rows[-1][2]}, which is no head of a detector."))
    if any(description.get(name, 3) != 3 for name in ("ch", "channels")):
        raise refused(Reason("", "The model does not read images of three channels."))
    return description | {"nc": classes}


def _largest_depth(description: dict[str, Any]) -> float:
    """The largest factor by which ultralytics multiplies repeats."""
    scales = description.get("scales")
    rows = scales.values() if isinstance(scales, dict) else ()
    depths = [row[0] for row in rows if isinstance(row, list | tuple) and row]
    given = [description.get("depth_multiple"), *depths]
    return max([1.0, *(each for each in given if isinstance(each, int | float))])


def _is_row(row: Any) -> bool:
    """[from, repeats, layer, arguments]"""
    if not isinstance(row, list) or len(row) != 4:
        return False
    _, repeats, layer, arguments = row
    return isinstance(repeats, int) and 0 < repeats <= _MAX_REPEATS and isinstance(layer, str) and _is_list(arguments)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Numbers of a size that layers have, short texts, and lists and mappings of them."""
    if depth > _MAX_NESTED:
        return False
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return math.isfinite(value) and abs(value) <= _MAX_NUMBER
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    if isinstance(value, list | tuple):
        return all(_is_plain(each, depth + 1) for each in value)
    if isinstance(value, dict):
        return all(_is_plain(each, depth + 1) for each in (*value, *value.values()))
    return False


def _built(description: dict[str, Any], *, rtdetr: bool, classes: int) -> Any:
    build = RTDETRDetectionModel if rtdetr else DetectionModel
    return build(description, ch=3, nc=classes, verbose=False)


def _tensors(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors by the names of a state dict, without a call of any method of the modules."""
    held = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in held.get(kind, {}).items():
            if value is not None:
                yield f"{prefix}{name}", value
    for name, child in held.get("_modules", {}).items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.")


def _fill(model: Any, tensors: Mapping[str, Any]) -> None:
    """Raises ModelRefused unless `tensors` are exactly those of `model`, and finite."""
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in tensors]
    if missing:
        hint = " It is fused: save it before it is fused." if not any(".bn." in name for name in tensors) else ""
        detail = f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]}.{hint}"
        raise refused(Reason("", detail))
    reasons = [
        Reason("", fault) for name, value in wanted.items() if (fault := _fault(name, tensors[name], value.shape))
    ]
    if reasons:
        raise refused(*reasons)
    model.load_state_dict({name: tensors[name].detach().to(value.dtype) for name, value in wanted.items()})


def _fault(name: str, value: Any, shape: torch.Size) -> str | None:
    if type(value) not in (torch.Tensor, nn.Parameter) or value.layout is not torch.strided or value.is_quantized:
        return f"{name} is not a plain tensor."
    if value.shape != shape:
        return f"{name} has the shape {tuple(value.shape)}; by the description of the layers it is {tuple(shape)}."
    # Half precision is what is published: what is finite as a float may not be finite there.
    if value.is_floating_point() and not torch.isfinite(value.detach().half()).all():
        return f"{name} has values that are not finite in half precision."
    return None


def _input_side(*arguments: Any) -> int:
    """The side that it was trained at, by the first of `arguments` that names a usable one."""
    for each in arguments:
        size = each.get("imgsz") if isinstance(each, dict) else None
        sides = size if isinstance(size, list | tuple) else [size]
        if all(isinstance(side, int) and MULTIPLE <= side <= MAX_SIDE for side in sides):
            return math.ceil(max(sides, default=DEFAULT_SIDE) / MULTIPLE) * MULTIPLE
    return DEFAULT_SIDE


def _try(model: Any) -> None:
    """One prediction. Raises ModelRefused where it is not finite."""
    with torch.inference_mode():
        predicted = model.eval()(torch.full((1, 3, TRIAL_SIDE, TRIAL_SIDE), 0.5))
    first = predicted[0] if isinstance(predicted, list | tuple) else predicted
    if not torch.isfinite(first).all():
        raise refused(Reason("", "The predictions of the model are not finite."))


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
