"""ultralytics, imported and quietened, and its classes with Darkroom's changes.

Import only after `environment.go_offline`.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import ultralytics
from ultralytics import utils
from ultralytics.data import dataset as scans
from ultralytics.data import utils as files
from ultralytics.engine import trainer as engine
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.rtdetr.val import RTDETRValidator
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator

from pipeline.trainers.image_check import images_differ
from pipeline.trainers.yolo.head import start_from_parent

utils.VERBOSE = False  # no progress bars in a log file

VERSIONS = {"ultralytics": ultralytics.__version__, "torch": torch.__version__}

# GPUs whose half precision gives NaN losses or zero mAP, from ultralytics.utils.checks.check_amp.
_BAD_AMP = ("1660", "1650", "1630", "t400", "t550", "t600", "t1000", "t1200", "t2000", "k40m")


def _amp_works(model: Any) -> bool:
    """Replaces `check_amp`, which downloads a model for its test."""
    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    name = torch.cuda.get_device_name(device).lower()
    return not any(bad in name for bad in _BAD_AMP)


engine.check_amp = _amp_works

_save_scan, _load_scan = scans.save_dataset_cache_file, scans.load_dataset_cache_file
_scan_labels = scans.YOLODataset.cache_labels


def _in_scratch(path: Path) -> Path:
    """Instead of beside the labels: a tree is not written into, and no pickled file is read from it."""
    return Path(os.environ["YOLO_CONFIG_DIR"]) / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.cache"


def _scan_all(self: Any, path: Path) -> dict[str, Any]:
    """Raises ImagesDiffer where the scan leaves an image out, which ultralytics does with a line in the log."""
    scan: dict[str, Any] = _scan_labels(self, path)
    read = {label["im_file"] for label in scan["labels"]}
    missing = [Path(file).name for file in self.im_files if file not in read]
    if missing:
        utils.LOGGER.warning("\n".join(scan["msgs"]))
        raise images_differ(path.stem, missing=missing)
    return scan


def _keep_image(im_file: str, write: Callable[[str], None]) -> None:  # noqa: ARG001
    """Replaces the function that writes a JPEG without an end marker at its end anew, where it lies."""
    if files.imread(im_file) is None:
        raise ValueError("OpenCV reads nothing of it")


scans.save_dataset_cache_file = lambda prefix, path, *rest: _save_scan(prefix, _in_scratch(path), *rest)
scans.load_dataset_cache_file = lambda path: _load_scan(_in_scratch(path))
scans.YOLODataset.cache_labels = _scan_all
files._replace_image = _keep_image


class _NoFinalEval:
    """Without the final evaluation: `evaluate_split` does it, on val and test, and the one of ultralytics strips
    last.pt, which a resumed run needs."""

    def final_eval(self) -> None:
        return


class YoloTrainer(_NoFinalEval, DetectionTrainer):  # type: ignore[misc]
    pass


class RtDetrTrainer(_NoFinalEval, RTDETRTrainer):  # type: ignore[misc]
    pass


class _KeepsHead:
    """Starts with the rows of the head that the weights have for the same classes, and new ones for all others."""

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        model = super().get_model(cfg, None, verbose)  # type: ignore[misc] # of the trainer it is mixed into
        start_from_parent(model, weights, list(self.data["names"].values()))  # type: ignore[attr-defined] # likewise
        return model


class FineTuningYoloTrainer(_KeepsHead, YoloTrainer):
    pass


class FineTuningRtDetrTrainer(_KeepsHead, RtDetrTrainer):
    pass


def trainer_class(*, is_rtdetr: bool, keeps_head: bool) -> type[Any]:
    """`keeps_head`: for a training that goes on from a model of ours."""
    if keeps_head:
        return FineTuningRtDetrTrainer if is_rtdetr else FineTuningYoloTrainer
    return RtDetrTrainer if is_rtdetr else YoloTrainer


def validator_class(*, is_rtdetr: bool) -> type[Any]:
    chosen: type[Any] = RTDETRValidator if is_rtdetr else DetectionValidator
    return chosen
