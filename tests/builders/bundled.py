"""The input of a bundle, around a model that answers by colours."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.bundle.run import bundle
from pipeline.process.child import Channel
from pipeline.process.specs import BundleSpec
from tests.builders.colour_models import CLASSES, export_of

HOSTILE = "red](javascript:alert(1)) | <script>x</script>\n# not a title `code` $1$ \u202edesrever"  # a class name
VERSION: dict[str, Any] = {
    "name": "colours/v1",
    "version_id": "version_01kaj8x4b1c2d3e4f5g6h7j8k9",
    "project": "colours",
    "number": 1,
    "origin": "run",
    "trainer": "yolo",
    "params": {"model": "yolov8n", "epochs": 2},
    "fingerprint": "f" * 64,
    "parent": None,
    "leak": {"generation": 2, "images": 12, "train": 6, "val": 6, "examples": []},
    "dataset": {"name": "colours/d1", "job_id": "job_1", "source_name": "col*ours*.zip", "huggingface": None},
    "evaluated_on": {"name": "colours/d1"},
    "notes": {"weights": "trained from scratch: no pretrained weights were found"},
    "created_at": "2026-11-29T12:00:00.000Z",
    "darkroom": "0.1.0",
}
CERTIFICATE: dict[str, Any] = {
    "passed": True,
    "reasons": [],
    "schema": 1,
    "precision": "fp32",
    "images": 24,
    "failed": 0,
    "outputs": {"largest": 4.2e-07, "mean": 1e-08},
    "predictions": {"compared": 48, "equal": 48, "share": 1.0},
    "figures": {"name": "mAP50-95", "model": 0.71, "export": 0.71, "change": 0.0, "low": 0.0, "high": 0.0},
    "milliseconds": {side: {"p50": 2.0, "p95": 3.0, "images_per_second": 480.0} for side in ("model", "export")},
    "engine": "onnxruntime 1.32.0",
    "threads": 1,
    "device": "a processor",
}


def bundle_spec(folder: Path, kind: str = "detection", **version: Any) -> BundleSpec:
    """With the files of a version in `folder`. `version`: other facts about it."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "best.pt").write_bytes(bytes(range(256)) * 8)
    (artifacts / "model.json").write_text(
        json.dumps({"weights": {"name": "best.pt"}, "versions": {"torch": "2.14.1"}, "epochs_done": 2, "best_epoch": 1})
    )
    thresholds = {"all": 0.4, "source": "val", "classes": {HOSTILE: 0.31}, "sources": {}}
    (artifacts / "metrics.json").write_text(
        json.dumps({"val": _metrics(kind), "test": _metrics(kind), "thresholds": thresholds})
    )
    for name in ("test_confusion_matrix", "test_predictions", "val_curves"):
        Image.new("RGB", (8, 8)).save(artifacts / f"{name}.png")
    (folder / "dataset_metadata.json").write_text(json.dumps(_dataset(kind)))
    return BundleSpec(
        out=folder / "out",
        artifacts=artifacts,
        export=export_of(kind, folder / "exported.onnx"),
        certificate=CERTIFICATE,
        metadata=folder / "dataset_metadata.json",
        version=VERSION | {"trainer": "yolo" if kind == "detection" else "vit"} | version,
    )


def write_bundle(spec: BundleSpec) -> Path:
    """The bundle, made in this process."""
    spec.out.mkdir()
    with closing(Channel(spec.out)) as channel:
        bundle(spec, channel)
    return spec.out / "bundle.zip"


def _metrics(kind: str) -> dict[str, Any]:
    names = ("mAP50", "mAP50-95") if kind == "detection" else ("accuracy",)
    figures = {name: 0.71 for name in (*names, "precision", "recall", "f1")}
    counts = {"images": 24, "instances": 48} if kind == "detection" else {"images": 24}
    above = {"at_threshold": {"precision": 0.9, "recall": 0.8, "f1": 0.85}}
    per_class = {name: figures | counts | above for name in (HOSTILE, *CLASSES[1:])}
    return figures | above | {"images": 24, "per_class": per_class}


def _dataset(kind: str) -> dict[str, Any]:
    what = "boxes" if kind == "detection" else "images"
    counts = dict(zip((HOSTILE, *CLASSES[1:]), (4, 90, 60), strict=True))
    size = {side: {"p05": 96.0, "p95": 256.0} for side in ("width", "height")}
    area = {"box_area": {"small": 31, "medium": 9, "large": 0}} if kind == "detection" else {}
    return {
        "kind": kind,
        "content_fingerprint": "c" * 64,
        "images": {"train": 100, "val": 24, "test": 24},
        "resolution": size,
        "per_class": {name: {what: {"train": count}} for name, count in counts.items()},
        **area,
    }
