"""The `vit` trainer: any image classifier of transformers.

Nothing heavy is imported here: transformers reads its environment when it is imported.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from pipeline.params.vit import VitParams
from pipeline.process.huggingface_env import go_offline, see_one_gpu
from pipeline.trainers import AdoptedModel, Checkpoint, ModelSource, Predictor, Reporter, TrainedModel
from pipeline.trainers.recipe_import import import_recipe
from pipeline.trainers.scratch import scratch_in

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
    options = cast(VitParams, params)
    go_offline(out / "config")
    see_one_gpu(options.device)
    recipe = import_recipe("vit", library="transformers")
    report.raise_if_cancelled()
    with scratch_in(out) as work:
        return cast(TrainedModel, recipe.train(dataset, options, out, report, model=model, resume=resume, work=work))


def load(model: Path) -> Predictor:
    """`model`: a folder with `model.zip`, that ZIP, or its files. Raises WeightsUnavailable for anything else."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:  # read while transformers is imported only
        go_offline(Path(home))
        from pipeline.evaluation.thresholds import published_thresholds
        from pipeline.trainers.classifier.predictor import ClassifierPredictor
        from pipeline.trainers.vit.models import read_published_vit
    return ClassifierPredictor(*read_published_vit(model), published_thresholds(model))


def evaluate(
    model: Path, dataset: Path, out: Path, report: Reporter, *, splits: Sequence[str], batch: int, device: str
) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:
        go_offline(Path(home))
        see_one_gpu(device)
        from pipeline.evaluation.thresholds import published_thresholds
        from pipeline.trainers.classifier.evaluate import evaluate_classifier
        from pipeline.trainers.vit.models import read_published_vit

        options: dict[str, Any] = {"splits": splits, "batch": batch, "device": device, "title": f"vit: {model.name}"}
        evaluate_classifier(
            read_published_vit(model), dataset, out, report, **options, thresholds=published_thresholds(model)
        )


def adopt(source: Path, artifacts: Path, report: Reporter, *, classes: Sequence[str] | None) -> AdoptedModel:  # noqa: ARG001
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:
        go_offline(Path(home))
        from pipeline.trainers.vit.adopted import adopt_vit

        report.raise_if_cancelled()
        return adopt_vit(source, artifacts)


def export_onnx(model: Path, target: Path, *, about: Mapping[str, Any]) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:
        go_offline(Path(home))
        from pipeline.evaluation.thresholds import published_thresholds
        from pipeline.trainers.classifier.onnx_export import export_classifier
        from pipeline.trainers.vit.models import read_published_vit

        export_classifier(*read_published_vit(model), target, published_thresholds(model), about=about)


def trace(model: Path, target: Path) -> None:
    """See `pipeline.trainers.Trainer`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as home:
        go_offline(Path(home))
        from pipeline.trainers.classifier.onnx_export import trace_classifier
        from pipeline.trainers.vit.models import read_published_vit

        trace_classifier(*read_published_vit(model)[:2], target)
