"""The `vit` trainer: any image classifier of transformers. This package is its home among the trainers.

Nothing heavy is imported here: the environment must be set before transformers is, since it reads it at import.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from pipeline.params.vit import VitParams
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
    """See `pipeline.trainers.Trainer`. Uses `out/config` and a hidden folder in `out` as scratch."""
    go_offline(out / "config")
    see_one_gpu(cast(VitParams, params).device)
    recipe = _import_recipe()
    report.raise_if_cancelled()
    asked = cast(VitParams, params)
    with scratch_in(out) as work:
        return cast(TrainedModel, recipe.train(dataset, asked, out, report, model=model, resume=resume, work=work))


def load(model: Path) -> Predictor:
    """`model`: a folder with `model.zip`, that ZIP, or its files. Raises WeightsUnavailable when it is none of ours."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:  # only looked at while it is imported
        go_offline(Path(home))
        from pipeline.trainers.vit.predictor import VitPredictor
    return VitPredictor(model)


def evaluate(model: Path, dataset: Path, out: Path, report: Reporter, *, split: str, batch: int, device: str) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:
        go_offline(Path(home))
        see_one_gpu(device)
        from pipeline.trainers.classifier.evaluate import evaluate_classifier
        from pipeline.trainers.vit.models import class_names, read_published

        network, processor = read_published(model)
        read = (network, processor, class_names(network))
        chosen: dict[str, Any] = {"split": split, "batch": batch, "device": device}
        evaluate_classifier(read, dataset, out, report, **chosen, title=f"vit: {model.name}")


def _import_recipe() -> "ModuleType":
    began = time.monotonic()
    from pipeline.trainers.vit import recipe

    sys.stderr.write(f"transformers.imported seconds={time.monotonic() - began:.2f}\n")
    return recipe
