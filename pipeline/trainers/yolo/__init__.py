"""The `yolo` trainer: detectors of ultralytics.

ultralytics (AGPL-3.0) is imported by this package alone, without its telemetry, downloads and integrations.
Nothing heavy is imported here: it reads its environment when it is imported.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from pipeline.params.yolo import YoloParams
from pipeline.trainers import AdoptedModel, Checkpoint, ModelSource, Predictor, Reporter, TrainedModel
from pipeline.trainers.recipe_import import import_recipe
from pipeline.trainers.scratch import scratch_in
from pipeline.trainers.yolo.environment import go_offline

__all__ = ["adopt", "evaluate", "export_onnx", "load", "trace", "train"]


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
    recipe = import_recipe("yolo", library="ultralytics")
    report.raise_if_cancelled()
    options = cast(YoloParams, params)
    with scratch_in(out) as work:
        return cast(TrainedModel, recipe.train(dataset, options, out, report, model=model, resume=resume, work=work))


def load(model: Path) -> Predictor:
    """`model`: a folder with `best.pt`, or a `.pt` file. Raises WeightsUnavailable for anything else."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:  # read while ultralytics is imported only
        go_offline(Path(config))
        from pipeline.evaluation.thresholds import published_thresholds
        from pipeline.trainers.yolo.predictor import YoloPredictor
    return YoloPredictor(_weights_in(model), published_thresholds(model))


def evaluate(
    model: Path, dataset: Path, out: Path, report: Reporter, *, splits: Sequence[str], batch: int, device: str
) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config, scratch_in(out) as work:
        go_offline(Path(config))
        from pipeline.evaluation.thresholds import published_thresholds

        recipe = import_recipe("yolo", library="ultralytics")
        options: dict[str, Any] = {"splits": splits, "batch": batch, "device": device, "work": work}
        recipe.evaluate(_weights_in(model), dataset, out, report, **options, thresholds=published_thresholds(model))


def adopt(source: Path, artifacts: Path, report: Reporter, *, classes: Sequence[str] | None) -> AdoptedModel:  # noqa: ARG001
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:
        go_offline(Path(config))
        from pipeline.trainers.yolo.adopted import adopt_yolo

        report.raise_if_cancelled()
        return adopt_yolo(source, artifacts)


def export_onnx(model: Path, target: Path, *, about: Mapping[str, Any]) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:
        go_offline(Path(config))
        from pipeline.evaluation.thresholds import published_thresholds
        from pipeline.trainers.yolo.onnx_export import export_detector

        export_detector(_weights_in(model), target, published_thresholds(model), about=about)


def trace(model: Path, target: Path) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-yolo-") as config:
        go_offline(Path(config))
        from pipeline.trainers.yolo.onnx_export import trace_detector

        trace_detector(_weights_in(model), target)


def _weights_in(model: Path) -> Path:
    return model / "best.pt" if model.is_dir() else model
