"""The class rows of an image classifier's head, carried over from a parent model by the names of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pipeline.trainers.head import rows_of_both


def with_head_for(model: Any, parent: Sequence[str], classes: Sequence[str]) -> None:
    """Changes a model of the classes `parent` into one of `classes`: the rows of those that both have stay.

    New rows are drawn as the architecture draws them, and depend on torch's seed. The caller renames the classes in the
    config. Raises ValueError for a model whose head has no linear layer with a row for each class.
    """
    layers = class_layers(model)
    if not layers:
        raise ValueError(f"its head has no linear layer for {len(parent)} classes")
    rows = rows_of_both(parent, classes)
    for name, old in layers.items():
        new = nn.Linear(old.in_features, len(classes), bias=old.bias is not None)
        model._init_weights(new)
        with torch.no_grad():
            new.weight[list(rows)] = old.weight[list(rows.values())]
            if old.bias is not None:
                new.bias[list(rows)] = old.bias[list(rows.values())]
        model.set_submodule(name, new)


def class_layers(model: Any) -> dict[str, nn.Linear]:
    """The linear layers outside the backbone with a row for each class, by their names."""
    backbone = {id(part) for part in model.base_model.modules()}
    return {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and part.out_features == model.config.num_labels and id(part) not in backbone
    }
