"""A trained classifier as ONNX, with the description that the predictor reads."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.predictor.metadata import ExportMetadata, Interpolation, Output, Preprocessing
from pipeline.predictor.onnx_file import describe_onnx

OPSET = 20
_INTERPOLATIONS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


class ProcessorUnsupported(ValueError):
    """The image processor of the model does something that the predictor has no equal for."""


class _Logits(nn.Module):  # type: ignore[misc]
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(pixel_values=pixels).logits
        return logits


def export_classifier(
    network: nn.Module, processor: Any, classes: tuple[str, ...], target: Path, *, about: Mapping[str, Any]
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
    describe_onnx(target, ExportMetadata("classification", classes, preprocessing, Output("logits"), dict(about)))


def trace_classifier(network: nn.Module, processor: Any, target: Path) -> None:
    """Writes `target` as TorchScript, with the same input and output. Raises ProcessorUnsupported."""
    preprocessing = preprocessing_of(processor)
    example = torch.zeros(2, 3, preprocessing.height, preprocessing.width)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.jit.trace(_Logits(network).eval(), example, check_trace=False).save(str(target))


def preprocessing_of(processor: Any) -> Preprocessing:
    """What an image processor of transformers does, as data. Raises ProcessorUnsupported."""
    if getattr(processor, "crop_pct", None) is not None:
        raise ProcessorUnsupported(f"{type(processor).__name__} with crop_pct is not supported.")
    interpolation = _INTERPOLATIONS.get(int(processor.resample))
    if interpolation is None or not processor.do_resize or not processor.do_rescale:
        raise ProcessorUnsupported(f"{type(processor).__name__}: resample {processor.resample} is not supported.")
    if abs(processor.rescale_factor * 255 - 1) > 1e-6:
        raise ProcessorUnsupported(f"{type(processor).__name__}: values are multiplied by {processor.rescale_factor}.")
    size, crop = dict(processor.size), _crop(processor)
    normal: dict[str, Any] = {"interpolation": interpolation, "reduce": True}
    if processor.do_normalize:
        normal |= {"mean": tuple(map(float, processor.image_mean)), "std": tuple(map(float, processor.image_std))}
    if size.get("shortest_edge"):
        if crop is None:
            raise ProcessorUnsupported(f"{type(processor).__name__}: inputs of different sizes are not supported.")
        return Preprocessing(crop[0], crop[1], "shortest-edge", resize_to=int(size["shortest_edge"]), **normal)
    width, height = int(size["width"]), int(size["height"])
    if crop not in (None, (width, height)):
        raise ProcessorUnsupported(
            f"{type(processor).__name__}: a crop after a resize to fixed sides is not supported."
        )
    return Preprocessing(width, height, "stretch", **normal)


def _crop(processor: Any) -> tuple[int, int] | None:
    if not getattr(processor, "do_center_crop", False):
        return None
    crop = dict(processor.crop_size)
    return int(crop["width"]), int(crop["height"])
