"""A trained detector as ONNX, with the description that the predictor reads."""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ultralytics import RTDETR, YOLO
from ultralytics.utils import LOGGER

from pipeline.evaluation.thresholds import Thresholds, choose_thresholds
from pipeline.predictor.metadata import ExportMetadata, Output, OutputForm, Preprocessing
from pipeline.predictor.onnx_file import describe_onnx
from pipeline.trainers.yolo import vendor
from pipeline.trainers.yolo.weights import is_rtdetr, model_in, read_weights

OPSET = 20
_QUIETENED = vendor.VERSIONS  # vendor is imported for its effect: it quietens ultralytics


def export_detector(weights: Path, target: Path, thresholds: Thresholds | None, *, about: Mapping[str, Any]) -> None:
    """Writes `target` (.onnx) with dynamic batch, height and width; suppression stays outside, in the predictor.

    Raises WeightsUnavailable for a file that is not a safe weights file.
    """
    model = model_in(read_weights(weights))
    side = int(model.args["imgsz"]) if isinstance(model.args, dict) else 640
    classes = tuple(str(model.names[index]) for index in range(len(model.names)))
    rtdetr = is_rtdetr(model)
    _export(weights, target, is_rtdetr=rtdetr, format="onnx", dynamic=True, simplify=False, imgsz=side, opset=OPSET)
    preprocessing = preprocessing_of(side, model, is_rtdetr=rtdetr)
    chosen = thresholds or choose_thresholds(None, classes, kind="detection")
    output = Output(output_form(is_rtdetr=rtdetr), min_score=chosen.all, thresholds=chosen.of(classes))
    describe_onnx(target, ExportMetadata("detection", classes, preprocessing, output, dict(about)))


def trace_detector(weights: Path, target: Path) -> None:
    """Writes `target` as TorchScript. Raises WeightsUnavailable."""
    model = model_in(read_weights(weights))
    side = int(model.args["imgsz"]) if isinstance(model.args, dict) else 640
    _export(weights, target, is_rtdetr=is_rtdetr(model), format="torchscript", dynamic=True, imgsz=side)


def _export(weights: Path, target: Path, *, is_rtdetr: bool, **options: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-export-", dir=target.parent) as name:
        copied = Path(name) / "model.pt"  # the exporter writes beside the weights
        shutil.copyfile(weights, copied)
        with _quiet():
            exported = (RTDETR if is_rtdetr else YOLO)(str(copied)).export(**options, device="cpu", verbose=False)
        Path(exported).rename(target)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the summary, with paths of the machine and advice for a command line that is not ours."""
    level = LOGGER.level
    LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def output_form(*, is_rtdetr: bool) -> OutputForm:
    """Of the model, in its framework and as an export."""
    return "ranked-queries" if is_rtdetr else "anchors"


def preprocessing_of(side: int, model: Any, *, is_rtdetr: bool) -> Preprocessing:
    """As the predictors of ultralytics do it: RT-DETR does not keep the aspect ratio, the others pad to the stride."""
    if is_rtdetr:
        return Preprocessing(side, side, "stretch", "linear")
    return Preprocessing(side, side, "letterbox", "linear", stride=int(model.stride.max()))
