"""The head of a parent model of CLIP, and which of its rows a training goes on with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file

from core.domain.errors import WeightsUnavailable
from pipeline.trainers.clip.models import ABOUT, HEAD
from pipeline.trainers.head import head_note, rows_of_both

PRETRAINED, TRAINED = "pretrained", "trained"  # the image tower, in darkroom.json


@dataclass(frozen=True, slots=True)
class ParentHead:
    """`weight` (classes, width), `bias` (classes): of normalised embeddings. `is_trained`: the image tower was."""

    name: str
    mode: str
    is_trained: bool
    classes: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor

    def rows_for(self, classes: Sequence[str]) -> dict[str, torch.Tensor] | None:
        """The head for `classes` that a linear probe starts from: zeros for new ones. None: no row is used.

        Rows that are computed from prompts are no start: their logits are many times larger than those of zeros.
        """
        if self.mode != "linear-probe":
            return None
        rows = rows_of_both(self.classes, classes)
        weight, bias = torch.zeros(len(classes), self.weight.shape[1]), torch.zeros(len(classes))
        weight[list(rows)], bias[list(rows)] = self.weight[list(rows.values())], self.bias[list(rows.values())]
        return {"weight": weight, "bias": bias}

    def note(self, classes: Sequence[str], *, mode: str) -> str:
        if mode != "linear-probe":
            return f"computed from the prompts of the {len(classes)} classes, not kept"
        if self.mode != "linear-probe":
            return f"new for all {len(classes)} classes: {self.name} classifies by its prompts"
        return head_note(self.classes, classes)


def read_parent(folder: Path, name: str) -> ParentHead:
    """Raises WeightsUnavailable."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        head, mode = load_file(folder / HEAD), str(about["mode"])
        is_trained = about.get("tower", TRAINED if mode == "fine-tune" else PRETRAINED) == TRAINED
        classes = tuple(map(str, about["classes"]))
        return ParentHead(name, mode, is_trained, classes, head["weight"].float(), head["bias"].float())
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        detail = f"{name} is not a model of the clip trainer: {str(error)[:500]}"
        raise WeightsUnavailable(detail, model=name) from error
