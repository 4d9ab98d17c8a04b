"""A trained classifier as ONNX, with the description that the predictor reads."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.evaluation.thresholds import Thresholds, choose_thresholds
from pipeline.predictor.metadata import ExportMetadata, Output
from pipeline.predictor.onnx_file import describe_onnx
from pipeline.trainers.image_processor import preprocessing_of

OPSET = 20


class _Logits(nn.Module):  # type: ignore[misc]
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(pixel_values=pixels).logits
        return logits


def export_classifier(
    network: nn.Module,
    processor: Any,
    classes: tuple[str, ...],
    target: Path,
    thresholds: Thresholds | None,
    *,
    about: Mapping[str, Any],
) -> None:
    """Writes `target` (.onnx): input `pixels` (batch, 3, height, width), output `logits` (batch, classes).

    Raises ProcessorUnsupported.
    """
    preprocessing = preprocessing_of(processor)
    example = torch.zeros(2, 3, preprocessing.height, preprocessing.width)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(network).eval(),
            (example,),
            str(target),
            input_names=["pixels"],
            output_names=["logits"],
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
    chosen = thresholds or choose_thresholds(None, classes, kind="classification")
    output = Output("logits", min_score=chosen.all, thresholds=chosen.of(classes))
    describe_onnx(target, ExportMetadata("classification", classes, preprocessing, output, dict(about)))


def trace_classifier(network: nn.Module, processor: Any, target: Path) -> None:
    """Writes `target` as TorchScript, with the same input and output. Raises ProcessorUnsupported."""
    preprocessing = preprocessing_of(processor)
    example = torch.zeros(2, 3, preprocessing.height, preprocessing.width)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.jit.trace(_Logits(network).eval(), example, check_trace=False).save(str(target))
