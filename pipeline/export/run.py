"""An export from a trained model to its files."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, cast

from pipeline.export.catalogue import FORMATS, Format, Precision, exporter_of
from pipeline.params.catalogue import TrainerEntry
from pipeline.trainers import Trainer

ABOUT = "export.json"
_LIBRARIES = ("torch", "onnx", "onnxruntime", "openvino", "ultralytics-opencv-headless", "transformers")


class PrecisionUnsupported(ValueError):
    """The format is not written at this precision."""


def export_model(
    model: Path, entry: TrainerEntry, out: Path, *, to: Format, precision: Precision, facts: Mapping[str, Any]
) -> Path:
    """Writes the file into `out` (an empty folder, or a new one), and export.json with digests and versions beside it.

    `facts` become part of the description in the file. Raises PrecisionUnsupported, WeightsUnavailable, and ValueError
    for a model that cannot be exported.
    """
    described = FORMATS[to]
    if precision not in described.precisions:
        raise PrecisionUnsupported(f"{to} is written as {', '.join(described.precisions)}, not as {precision}.")
    out.mkdir(parents=True, exist_ok=True)
    target = out / described.file
    trainer = cast(Trainer, import_module(entry.trainer))
    about = {**facts, "format": to, "precision": precision}
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as scratch:
        onnx_file, traced = Path(scratch) / "model.onnx", Path(scratch) / "model.torchscript"
        trainer.export_onnx(model, onnx_file, about=about)
        if to == "torchscript":
            trainer.trace(model, traced)
        exporter_of(to).write(onnx_file, traced if traced.exists() else None, target, precision=precision)
    content = {"schema": 1, **about, "files": _files(out), "versions": _versions()}
    (out / ABOUT).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def _files(out: Path) -> list[dict[str, Any]]:
    written = sorted(path for path in out.iterdir() if path.is_file() and path.name != ABOUT)
    return [{"name": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)} for path in written]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    installed = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return {name: installed[name] for name in _LIBRARIES if name in installed}
