"""The `onnx` trainer: ONNX files that were made elsewhere. They predict, are evaluated and exported, and train nothing.

Nothing heavy is imported here, and torch nowhere below.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel

from core.domain.errors import TrainerCannotTrain
from pipeline.trainers import AdoptedModel, Checkpoint, ModelSource, Predictor, Reporter
from pipeline.trainers.scratch import scratch_in

__all__ = ["adopt", "evaluate", "export_onnx", "load", "trace", "train"]


def train(
    dataset: Path,  # noqa: ARG001 - the protocol's, as the others
    params: BaseModel,  # noqa: ARG001
    out: Path,  # noqa: ARG001
    report: Reporter,  # noqa: ARG001
    *,
    model: ModelSource,  # noqa: ARG001
    resume: Checkpoint | None,  # noqa: ARG001
) -> NoReturn:
    """Raises TrainerCannotTrain."""
    raise TrainerCannotTrain("An imported ONNX file is used as it is: no training goes on from it.", trainer="onnx")


def load(model: Path) -> Predictor:
    """`model`: a folder with `model.onnx`, or an .onnx file. Raises WeightsUnavailable for anything else."""
    from pipeline.evaluation.thresholds import published_thresholds
    from pipeline.trainers.onnx.predictor import OnnxPredictor

    return OnnxPredictor(_file_in(model), published_thresholds(model))


def evaluate(
    model: Path,
    dataset: Path,
    out: Path,
    report: Reporter,
    *,
    splits: Sequence[str],
    batch: int,  # noqa: ARG001 - images are predicted one by one
    device: str,  # noqa: ARG001 - always the processor
) -> None:
    """See `pipeline.trainers.Trainer`."""
    from pipeline.evaluation.thresholds import published_thresholds
    from pipeline.trainers.onnx.evaluation import evaluate_onnx

    thresholds = published_thresholds(model)
    evaluate_onnx(_file_in(model), dataset, out, report, splits=splits, thresholds=thresholds)


def adopt(source: Path, artifacts: Path, report: Reporter, *, classes: Sequence[str] | None) -> AdoptedModel:  # noqa: ARG001 - the file has its own classes
    """See `pipeline.trainers.Trainer`."""
    from pipeline.trainers.onnx.adopted import adopt_onnx

    report.raise_if_cancelled()
    with scratch_in(artifacts.parent) as work:
        return adopt_onnx(source, artifacts, work)


def export_onnx(model: Path, target: Path, *, about: Mapping[str, Any]) -> None:
    """The file itself, with what is known about its version and the thresholds that val chose."""
    from pipeline.evaluation.thresholds import published_thresholds
    from pipeline.predictor.engines import open_engine
    from pipeline.predictor.metadata import read_metadata
    from pipeline.predictor.onnx_file import describe_onnx

    file = _file_in(model)
    metadata = read_metadata(open_engine(file, threads=1).description)
    output = metadata.output
    if thresholds := published_thresholds(model):
        output = replace(output, min_score=thresholds.all, thresholds=thresholds.of(metadata.classes))
    shutil.copyfile(file, target)
    describe_onnx(target, replace(metadata, output=output, about=dict(about)))


def trace(model: Path, target: Path) -> NoReturn:  # noqa: ARG001 - the protocol's
    """Raises ValueError: TorchScript is made of what PyTorch trains."""
    raise ValueError("an imported ONNX file has no TorchScript: export it as onnx or openvino")


def _file_in(model: Path) -> Path:
    return model / "model.onnx" if model.is_dir() else model
