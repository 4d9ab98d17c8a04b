"""ultralytics, imported and quietened, and its classes with Darkroom's changes.

Import only after `environment.go_offline`.
"""

from typing import Any

import torch
import ultralytics
from ultralytics import utils
from ultralytics.engine import trainer as engine
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.rtdetr.val import RTDETRValidator
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator

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


class _NoFinalEval:
    """Without the final evaluation: `evaluate_split` does it, on val and test, and the one of ultralytics strips
    last.pt, which a resumed run needs."""

    def final_eval(self) -> None:
        return


class YoloTrainer(_NoFinalEval, DetectionTrainer):  # type: ignore[misc]
    pass


class RtDetrTrainer(_NoFinalEval, RTDETRTrainer):  # type: ignore[misc]
    pass


def trainer_class(*, is_rtdetr: bool) -> type[Any]:
    return RtDetrTrainer if is_rtdetr else YoloTrainer


def validator_class(*, is_rtdetr: bool) -> type[Any]:
    chosen: type[Any] = RTDETRValidator if is_rtdetr else DetectionValidator
    return chosen
