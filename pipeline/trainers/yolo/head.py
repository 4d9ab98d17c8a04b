"""The class rows of a detection head, carried over from a parent model by the names of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.head import RTDETRDecoder

from pipeline.trainers.head import rows_of_both
from pipeline.trainers.yolo.weights import class_names


def start_from_parent(model: Any, parent: Any, classes: Sequence[str]) -> None:
    """Gives a new `model` for `classes` the weights of `parent`, a model of the same architecture.

    Of the layers with a row for each class, the rows of classes that both have are those of the parent; all others stay
    as they were drawn. (`load` alone copies all rows in their order where the numbers of classes are the same and no
    name is, and knows nothing of RT-DETR's.)
    """
    drawn = [(layer.weight.detach().clone(), _bias(layer)) for layer in class_layers(model)]
    model.load(parent)  # the layers before the last may get the parent's width, and the last one with them
    rows = rows_of_both(class_names(parent), classes)
    for layer, old, (weight, bias) in zip(class_layers(model), class_layers(parent), drawn, strict=True):
        weight = weight if weight.shape == layer.weight.shape else _drawn_like(layer)
        with torch.no_grad():
            layer.weight.copy_(_with_rows(weight, old.weight, rows))
            if bias is not None:
                layer.bias.copy_(_with_rows(bias, old.bias, rows))


def class_layers(model: Any) -> list[nn.Module]:
    """The layers of the head whose weights have one row for each class, in the same order for each architecture."""
    head = model.model[-1]
    if isinstance(head, RTDETRDecoder):
        return [head.denoising_class_embed, head.enc_score_head, *head.dec_score_head]
    branches = (getattr(head, name, None) or () for name in ("cv3", "one2one_cv3"))
    return [branch[-1] for branches_of_scales in branches for branch in branches_of_scales]


def _with_rows(drawn: torch.Tensor, parent: torch.Tensor, rows: dict[int, int]) -> torch.Tensor:
    result = drawn.clone()
    result[list(rows)] = parent.detach().to(drawn.device, drawn.dtype)[list(rows.values())]
    return result


def _bias(layer: Any) -> torch.Tensor | None:
    return None if getattr(layer, "bias", None) is None else layer.bias.detach().clone()


def _drawn_like(layer: Any) -> torch.Tensor:
    """New weights for a convolution of this shape."""
    outputs, inputs, *size = layer.weight.shape
    return nn.Conv2d(inputs, outputs, tuple(size)).weight.detach().to(layer.weight.device)
