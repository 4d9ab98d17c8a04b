"""The model that is evaluated: a version in its framework, or an exported file. Both answer in one form."""

import json
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import ExportUnsupported
from pipeline.params.catalogue import IMPORTED, entry_of_version
from pipeline.predictor.predictor import ExportPredictor, PredictionFailed
from pipeline.predictor.validation import measured_boxes
from pipeline.process.specs import EvaluateSpec
from pipeline.trainers import Trainer

MODEL_FILE = "model.json"
SUFFIXES = (".onnx", ".xml", ".zip")  # of the exports that the predictor runs

Array = NDArray[np.float32]


class MeasuredModel(Protocol):
    classes: tuple[str, ...]

    def measured(self, content: bytes) -> Array:
        """What an evaluation counts for the bytes of an image: the boxes (N, 6) of pipeline.predictor.validation, or
        (classes,) probabilities. Raises ImageUnreadable."""


def open_model(spec: EvaluateSpec) -> tuple[MeasuredModel, str, str]:
    """The model, its kind, and what runs it. Raises WeightsUnavailable, MetadataInvalid, ExportUnsupported."""
    if spec.trainer is None:
        return _of_export(spec.model, spec.threads)
    described = json.loads((spec.model / MODEL_FILE).read_text(encoding="utf-8"))
    if spec.trainer in IMPORTED:
        return _of_export(spec.model / described["weights"]["name"], spec.threads)
    entry = entry_of_version(spec.trainer, kind=described["kind"])
    model = cast(Trainer, import_module(entry.trainer)).load(spec.model)
    _limit_threads(spec.threads)
    return cast(MeasuredModel, model), entry.kind, f"PyTorch, {spec.trainer}"


class ExportedModel:
    """Raises MetadataInvalid for a file that is no export."""

    def __init__(self, file: Path, *, threads: int) -> None:
        self.predictor = ExportPredictor(file, threads=threads)
        self.classes = self.predictor.metadata.classes

    def measured(self, content: bytes) -> Array:
        metadata = self.predictor.metadata
        if metadata.kind == "detection":
            return measured_boxes(content, metadata.preprocessing, metadata.output, self.predictor.raw)
        (result,) = self.predictor.predict([content], top=len(self.classes))
        if isinstance(result, PredictionFailed):
            raise ValueError(result.reason)
        probabilities = np.zeros(len(self.classes), np.float32)
        for label in result.labels:
            probabilities[label.class_index] = label.score
        return probabilities


def _of_export(file: Path, threads: int) -> tuple[MeasuredModel, str, str]:
    if file.suffix not in SUFFIXES:
        raise ExportUnsupported(f"{file.name} is for other programs: exports as onnx and openvino are evaluated.")
    model = ExportedModel(file, threads=threads)
    return model, model.predictor.metadata.kind, model.predictor.engine


def _limit_threads(threads: int) -> None:
    import torch  # the trainer has imported it

    torch.set_num_threads(threads)
