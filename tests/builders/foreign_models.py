"""Models that were trained elsewhere, as their libraries save them: small ones, whole."""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image

CLASSES = ("box", "disc")
TINY = {  # a detector as ultralytics describes it
    "nc": 2,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "C2f", [16]]],
    "head": [[[1, 2], 1, "Detect", ["nc"]]],
}


def torch_zip(pickled: bytes, *, deflated: bool = False) -> bytes:
    """As torch.save writes it, around any pickle."""
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    return zip_of({"m/data.pkl": pickled, "m/byteorder": b"little", "m/version": b"3\n"}, method=method)


def zip_of(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), content, method)
    return out.getvalue()


def vit_files(**config: Any) -> dict[str, bytes]:
    """A tiny ViT of transformers, as save_pretrained writes it. `config`: changes to config.json; None removes."""
    files = _vit_files()
    changed = json.loads(files["config.json"]) | config
    kept = {name: value for name, value in changed.items() if value is not None}
    return files | {"config.json": json.dumps(kept).encode()}


@lru_cache(maxsize=1)
def _vit_files() -> dict[str, bytes]:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
    model = ViTForImageClassification(ViTConfig(**shape, image_size=32, patch_size=8, **labels))
    return saved(model, ViTImageProcessor(size={"height": 32, "width": 32}))


def clip_files() -> dict[str, bytes]:
    """A small CLIP model with a tokenizer, without classes."""
    from tests.builders.clip_model import make_clip

    with tempfile.TemporaryDirectory() as name:
        folder = make_clip(Path(name) / "clip")
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def saved(*parts: Any) -> dict[str, bytes]:
    """The files that save_pretrained of each part writes."""
    with tempfile.TemporaryDirectory() as name:
        for part in parts:
            part.save_pretrained(name)
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def detector(classes: tuple[str, ...] = CLASSES, *, of: str | None = None, seed: int = 0) -> Any:
    """`of`: a stock model of ultralytics, by default TINY."""
    import torch

    torch.manual_seed(seed)
    model = _detection_model()(of or deepcopy(TINY), nc=len(classes), verbose=False)
    model.names = dict(enumerate(classes))
    model.args = {"imgsz": 96}
    return model


def _detection_model() -> Any:
    """The class of ultralytics, whose import replaces Pillow's `Image.open`: for the tests after this one, too."""
    from pipeline.trainers.yolo.environment import go_offline

    opened = Image.open
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ):
        go_offline(Path(name))
        try:
            from ultralytics.nn.tasks import DetectionModel
        finally:
            Image.open = opened
    return DetectionModel


def pt_of(model: Any, **checkpoint: Any) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save({"model": model, "train_args": {"imgsz": 64}, "epoch": -1, **checkpoint}, out)
    return out.getvalue()
