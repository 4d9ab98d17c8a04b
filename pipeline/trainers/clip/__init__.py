"""The `clip` trainer: CLIP models of transformers, as they are, with a linear head, or fine-tuned.

This package is its home among the trainers. Nothing heavy is imported here: the environment must be set before
transformers is, since it reads it at import.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from core.domain.errors import WeightsUnavailable
from pipeline.params.clip import ClipParams
from pipeline.process.huggingface_env import go_offline, see_one_gpu
from pipeline.trainers import Checkpoint, ModelSource, Predictor, Reporter, TrainedModel
from pipeline.trainers.scratch import scratch_in

if TYPE_CHECKING:
    from types import ModuleType


def train(
    dataset: Path,
    params: BaseModel,
    out: Path,
    report: Reporter,
    *,
    model: ModelSource,
    resume: Checkpoint | None,
) -> TrainedModel:
    """See `pipeline.trainers.Trainer`. Uses `out/config` and a hidden folder in `out` as scratch.

    Raises WeightsUnavailable without weights: nothing can be made of CLIP from scratch by some thousand images.
    """
    asked = cast(ClipParams, params)
    if model.kind != "weights":
        raise WeightsUnavailable(
            f"{asked.model} needs its pretrained weights, and none were given: a folder with config.json and "
            ".safetensors in the weights folder, or the hub.",
            model=asked.model,
        )
    go_offline(out / "config")
    see_one_gpu(asked.device)
    recipe = _import_recipe()
    report.raise_if_cancelled()
    weights = Path(model.path_or_name)
    with scratch_in(out) as work:
        return cast(TrainedModel, recipe.train(dataset, asked, out, report, weights=weights, resume=resume, work=work))


def load(model: Path) -> Predictor:
    """`model`: a folder with `model.zip`, that ZIP, or its files. Raises WeightsUnavailable when it is none of ours."""
    with tempfile.TemporaryDirectory(prefix="darkroom-clip-") as home:  # only looked at while it is imported
        go_offline(Path(home))
        from pipeline.trainers.clip.predictor import ClipPredictor
    return ClipPredictor(model)


def evaluate(model: Path, dataset: Path, out: Path, report: Reporter, *, split: str, batch: int, device: str) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-clip-") as home:
        go_offline(Path(home))
        see_one_gpu(device)
        from pipeline.trainers.classifier.evaluate import evaluate_classifier
        from pipeline.trainers.clip.models import read_published

        read = read_published(model)
        chosen: dict[str, Any] = {"split": split, "batch": batch, "device": device}
        evaluate_classifier(read, dataset, out, report, **chosen, title=f"clip: {model.name}")


def _import_recipe() -> "ModuleType":
    began = time.monotonic()
    from pipeline.trainers.clip import recipe

    sys.stderr.write(f"transformers.imported seconds={time.monotonic() - began:.2f}\n")
    return recipe
