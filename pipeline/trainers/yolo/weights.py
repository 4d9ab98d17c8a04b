"""Weights files: read without running code, written without paths or dates of this machine."""

import io
from pathlib import Path
from typing import Any

import torch
from ultralytics.nn.tasks import RTDETRDetectionModel, torch_safe_load
from ultralytics.utils import DEFAULT_CFG_DICT

from core.domain.errors import WeightsUnavailable

_MACHINE_ARGS = ("data", "model", "project", "name", "save_dir", "resume", "cfg", "pretrained", "device", "workers")


def read_weights(path: Path) -> dict[str, Any]:
    """The checkpoint in a `.pt` file, on the CPU; only known classes are unpickled.

    Raises WeightsUnavailable for a file that is missing, damaged, of another kind, or could run code.
    """
    if not path.is_file():
        raise WeightsUnavailable(f"There is no weights file {path.name}.", file=path.name)
    try:
        checkpoint, _ = torch_safe_load(str(path), safe_only=True)
    except MemoryError:
        raise
    except Exception as error:  # untrusted bytes may raise anything: all of it means unusable
        reason = " ".join(str(error).split())[:300].replace(str(path), path.name)
        raise WeightsUnavailable(f"{path.name} cannot be loaded safely: {reason}", file=path.name) from error
    model = checkpoint.get("ema") or checkpoint.get("model")
    if getattr(model, "task", "detect") != "detect" or not isinstance(model, torch.nn.Module):
        raise WeightsUnavailable(f"{path.name} does not contain a detection model.", file=path.name)
    return dict(checkpoint)


def model_in(checkpoint: dict[str, Any]) -> Any:
    return checkpoint.get("ema") or checkpoint["model"]


def is_rtdetr(model: Any) -> bool:
    return isinstance(model, RTDETRDetectionModel)


def class_names(model: Any) -> list[str]:
    """In the order of their ids."""
    return [str(model.names[index]) for index in range(len(model.names))]


def publish_weights(checkpoint: dict[str, Any], path: Path, *, input_size: int) -> None:
    """Writes only what `YOLO(path)` reads: half precision, no optimizer, no paths, no dates.

    The bytes depend on the training alone: the same seed, data and machine give the same sha256.
    """
    model = model_in(checkpoint).half()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.criterion = None
    model.yaml = {**model.yaml, "yaml_file": Path(str(model.yaml.get("yaml_file", ""))).name}
    known = {name: value for name, value in checkpoint["train_args"].items() if name in DEFAULT_CFG_DICT}
    args = {**DEFAULT_CFG_DICT, **known, **dict.fromkeys(_MACHINE_ARGS), "imgsz": input_size}
    model.args = args
    for name in ("pt_path", "model_path"):
        if hasattr(model, name):
            delattr(model, name)
    buffer = io.BytesIO()  # then written at once: a full disk raises an OSError, in torch.save another error
    torch.save(
        {
            "epoch": -1,
            "model": model,
            "ema": None,
            "optimizer": None,
            "train_args": args,
            "train_metrics": checkpoint.get("train_metrics"),
            "version": checkpoint.get("version"),
            "license": checkpoint.get("license"),
        },
        buffer,
    )
    path.write_bytes(buffer.getvalue())
