"""What a model says about images, as probabilities."""

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from core.domain.errors import TrainerCrashed
from pipeline.evaluation.evaluated import Judged, softmax
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import SplitImages
from pipeline.trainers.classifier.tensors import Processed, collate


def choose_device(wanted: str) -> torch.device:
    """Raises TrainerCrashed for a device that this machine does not have."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if wanted in ("cpu", "mps"):
        return torch.device(wanted)
    if not torch.cuda.is_available():
        raise TrainerCrashed(f"The device {wanted} is not on this machine.", device=wanted)
    return torch.device("cuda")  # the one that the environment lets this process see


def judge(
    model: nn.Module,
    processor: Any,
    images: SplitImages,
    classes: tuple[str, ...],
    report: Reporter,
    *,
    batch: int,
    device: torch.device,
) -> tuple[Judged, dict[str, float]]:
    """Every image once, in order; and how long each took, in ms. Raises RunCancelled."""
    data = Processed(images, processor)
    model = model.to(device).eval()
    logits, seconds = [], {"preprocess": 0.0, "inference": 0.0}
    for start in range(0, len(images), batch):
        report.raise_if_cancelled()
        began = time.perf_counter()
        inputs = collate([data[index] for index in range(start, min(start + batch, len(images)))])
        loaded = time.perf_counter()
        with torch.inference_mode():
            logits.append(model(pixel_values=inputs["pixel_values"].to(device)).logits.float().cpu().numpy())
        seconds["preprocess"] += loaded - began
        seconds["inference"] += time.perf_counter() - loaded
    judged = Judged(classes, images.paths, np.asarray(images.labels), softmax(np.concatenate(logits)))
    return judged, {name: round(1000 * value / len(images), 3) for name, value in seconds.items()}
