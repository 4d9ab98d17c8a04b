"""The `yolo` trainer. This package is the one home of ultralytics (AGPL-3.0), and switches off all it does unasked.

Nothing heavy is imported here: the environment must be set before ultralytics is, since it reads it at import.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel

from pipeline.params.yolo import YoloParams
from pipeline.trainers import Checkpoint, ModelSource, Predictor, Reporter, TrainedModel
from pipeline.trainers.scratch import scratch_in
from pipeline.trainers.yolo.environment import go_offline

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
    recipe = _import_recipe()
    report.raise_if_cancelled()
    asked = cast(YoloParams, params)
    with scratch_in(out) as work:
        return cast(TrainedModel, recipe.train(dataset, asked, out, report, model=model, resume=resume, work=work))


def load(model: Path) -> Predictor:
    """`model`: a folder with `best.pt`, or a `.pt` file. Raises WeightsUnavailable when it is none of ours."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:  # only looked at while it is imported
        go_offline(Path(config))
        from pipeline.trainers.yolo.predictor import YoloPredictor
    return YoloPredictor(model / "best.pt" if model.is_dir() else model)


def evaluate(model: Path, dataset: Path, out: Path, report: Reporter, *, split: str, batch: int, device: str) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:
        go_offline(Path(config))
        recipe = _import_recipe()
        weights = model / "best.pt" if model.is_dir() else model
        with scratch_in(out) as work:
            recipe.evaluate(weights, dataset, out, report, split=split, batch=batch, device=device, work=work)


def _import_recipe() -> "ModuleType":
    began = time.monotonic()
    from pipeline.trainers.yolo import recipe

    sys.stderr.write(f"ultralytics.imported seconds={time.monotonic() - began:.2f}\n")
    return recipe
