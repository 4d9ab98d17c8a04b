"""The description in an ONNX file."""

from pathlib import Path
from typing import Any

import onnx

from pipeline.predictor.metadata import KEY, ExportMetadata


def describe_onnx(file: Path, metadata: ExportMetadata) -> None:
    """Replaces all properties of the file, which have dates and paths of the machine, by the description."""
    model = onnx.load(str(file))
    describe(model, metadata)
    onnx.save(model, str(file))


def describe(model: Any, metadata: ExportMetadata) -> None:
    """The same in a loaded ONNX model."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, metadata.to_json()
    model.doc_string = ""
    model.graph.doc_string = ""


def description_in(model: Any) -> str | None:
    """Of a loaded ONNX model."""
    return next((str(entry.value) for entry in model.metadata_props if entry.key == KEY), None)
