"""What the classifiers share when they adopt a folder of transformers that was trained elsewhere."""

from math import prod
from pathlib import Path
from typing import Any

import safetensors
import torch
from PIL import Image
from torch import nn

from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.model_refusal import Reason, refused

MIN_SIDE, MAX_SIDE = 16, 2048  # px, of the square input
SPARE_WEIGHTS = 1_000_000  # that a config may describe beyond those of the file: heads and buffers are not always saved
_TYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"})


def count_finite(path: Path) -> int:
    """The number of weights in a .safetensors file. Raises ModelRefused for other types, and for NaN and infinity."""
    count = 0
    with safetensors.safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            kind = file.get_slice(name).get_dtype()
            if kind not in _TYPES:
                raise refused(Reason(path.name, f"{name} has the type {kind}: save the model in single precision."))
            tensor = file.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise refused(Reason(path.name, f"{name} has values that are not finite."))
            count += prod(tensor.shape)
    return count


def require_size(described: int, stored: int, path: str) -> None:
    """Raises ModelRefused for a config that describes a much larger model than the file holds."""
    if described > 2 * stored + SPARE_WEIGHTS:
        detail = f"It describes a model of {described} weights, and the .safetensors file holds {stored}."
        raise refused(Reason(path, detail))


def require_all(info: dict[str, Any], path: str) -> tuple[str, ...]:
    """`info`: what transformers says of a load. Raises ModelRefused for missing weights; returns notes on others."""
    if other := sorted(info.get("mismatched_keys", ())):
        name, stored, described = other[0]
        detail = f"{name} has the shape {tuple(stored)}; by config.json it is {tuple(described)}."
        raise refused(Reason(path, detail))
    if missing := sorted(info.get("missing_keys", ())):
        detail = f"{len(missing)} weights that config.json describes are missing, such as {missing[0]}."
        raise refused(Reason(path, detail))
    unused = sorted(map(str, info.get("unexpected_keys", ())))
    if not unused:
        return ()
    return (f"{len(unused)} weights that the classifier does not use were left out, such as {unused[0]}",)


def require_processor(processor: Any, path: str) -> int:
    """The side of the input, px. Raises ModelRefused for a processor that the trainer cannot use."""
    if not all(_has_channels(getattr(processor, name, None)) for name in ("image_mean", "image_std")):
        raise refused(Reason(path, "image_mean and image_std must name three numbers each."))
    try:
        side = input_side(processor)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise refused(Reason(path, "The size of the input is missing: `size` must name height or side.")) from error
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise refused(Reason(path, f"An input of {side} px: {MIN_SIDE} to {MAX_SIDE} px are accepted."))
    return side


def try_classifier(network: nn.Module, processor: Any, classes: int, path: str) -> None:
    """One prediction. Raises ModelRefused where its numbers are not finite, or not one for each class."""
    pixels = processor(Image.new("RGB", (96, 64), "grey"), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        logits = network(pixel_values=pixels).logits
    if tuple(logits.shape) != (1, classes):
        detail = f"The model answers with the shape {tuple(logits.shape)}, and has {classes} classes."
        raise refused(Reason(path, detail))
    if not torch.isfinite(logits).all():
        raise refused(Reason(path, "The predictions of the model are not finite."))


def _has_channels(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values)
