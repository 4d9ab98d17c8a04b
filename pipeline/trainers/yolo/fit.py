"""Trains with the loop of ultralytics, through its callbacks.

Neither `trainer.stop` ends it (a later resume would silently start from the first epoch) nor its `time` (which replaces
`epochs`), but an exception from a callback; the files of the last complete epoch are the result.
"""

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.errors import Diverged
from pipeline.params.yolo import YoloParams
from pipeline.trainers import Checkpoint, Ended, ModelSource, Progress, Reporter, TrainingEnded
from pipeline.trainers.image_check import require_images
from pipeline.trainers.results import RESULTS, read_results
from pipeline.trainers.yolo.vendor import trainer_class

CHECKPOINT_FILES = ("last.pt", "best.pt", RESULTS)

_SAME_NAMES = (
    *("epochs", "batch", "nbs", "imgsz", "patience", "seed"),
    *("lrf", "cos_lr", "momentum", "weight_decay", "warmup_epochs"),
    *("mosaic", "close_mosaic", "mixup", "cutmix", "fliplr", "flipud", "hsv_h", "hsv_s", "hsv_v"),
    *("degrees", "translate", "scale", "shear", "perspective"),
)
_METRICS = {
    "metrics/mAP50(B)": "mAP50",
    "metrics/mAP50-95(B)": "mAP50-95",
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
}
SGD_FROM = 0.005  # an lr0 from here up is meant for SGD (usually 0.01), below for AdamW (usually 0.001)


@dataclass(frozen=True, slots=True)
class FittedDetector:
    """`best` and `results` (results.csv) are those of the last complete epoch; `batch` is the one that fitted."""

    best: Path
    results: Path
    ended: Ended
    epochs_done: int
    batch: int


def fit_yolo(
    data: Path,
    params: YoloParams,
    work: Path,
    report: Reporter,
    *,
    model: ModelSource,
    resume: Checkpoint | None,
    stated: Mapping[str, Mapping[str, str]],
    is_rtdetr: bool,
    device: str,
) -> FittedDetector:
    """Trains to the end of the epochs, of patience or of time. `stated`: see `recipe`; nothing without a manifest.

    Raises Diverged, ImagesDiffer, RunCancelled, TimedOut.
    """
    if resume:
        _restore(resume, work)
    if resume and resume.ended:
        return _fitted(work, ended=resume.ended, epochs_done=resume.epoch, batch=params.batch)
    callbacks = _Callbacks(report, stated, epochs_done=resume.epoch if resume else 0)
    overrides = _resumed(work) if resume else _overrides(params, model)
    trainer_type = trainer_class(is_rtdetr=is_rtdetr, keeps_head=model.parent is not None and resume is None)
    trainer = trainer_type(
        overrides={
            **overrides,
            **{"data": str(data), "save_dir": str(work), "device": device, "workers": params.workers},
            **{"plots": False, "verbose": False},
        },
        _callbacks=callbacks.by_event(),
    )
    try:
        trainer.train()
    except TrainingEnded as end:
        callbacks.ended = end.ended
        report.checkpoint(callbacks.epochs_done, _checkpoint_files(trainer), ended=end.ended)
    finally:
        _close_loaders(trainer)
    return _fitted(work, ended=callbacks.ended, epochs_done=callbacks.epochs_done, batch=trainer.batch_size)


class _Callbacks:
    """Reports, stops and checkpoints at the callbacks of ultralytics."""

    def __init__(self, report: Reporter, stated: Mapping[str, Mapping[str, str]], *, epochs_done: int) -> None:
        self.report = report
        self.stated = stated
        self.epochs_done = epochs_done
        self.ended: Ended = "completed"

    def by_event(self) -> dict[str, list[Callable[[Any], None]]]:
        return defaultdict(
            list,
            {
                "on_pretrain_routine_end": [self.poll, self.require_images],
                "on_train_start": [self.continue_time, lambda _: self.report.stage("training")],
                "on_train_epoch_start": [self.poll],
                "on_train_batch_end": [self.poll],
                "on_train_epoch_end": [self.raise_if_diverged],
                # A stop waits: the epoch is nearly complete.
                "on_val_batch_end": [lambda _: self.report.raise_if_cancelled()],
                "on_model_save": [self.report_epoch],
            },
        )

    def poll(self, trainer: Any) -> None:
        self.report.poll(have_model=trainer.best.exists())

    def require_images(self, trainer: Any) -> None:
        for split, loader in (("train", trainer.train_loader), ("val", trainer.test_loader)):
            if split in self.stated:
                read = [Path(file).stem for file in loader.dataset.im_files]
                require_images(split, stated=self.stated[split], read=read)

    def continue_time(self, trainer: Any) -> None:
        """The column `time` of results.csv continues from the previous attempt."""
        rows = read_results(trainer.csv)
        trainer.train_time_start -= rows[-1]["time"] if rows else 0.0

    def raise_if_diverged(self, trainer: Any) -> None:
        """Only in the first epoch of an attempt: later ultralytics itself goes back to last.pt, three times."""
        finite = all(math.isfinite(float(value)) for value in trainer.tloss.values())
        if not finite and trainer.epoch == trainer.start_epoch:
            raise Diverged("The loss was not finite in the first epoch.", epoch=trainer.epoch + 1)

    def report_epoch(self, trainer: Any) -> None:
        """Called once an epoch is validated and saved."""
        self.epochs_done = trainer.epoch + 1
        self.ended = "completed" if self.epochs_done >= trainer.epochs else "early-stopped"
        self.report(Progress(self.epochs_done, trainer.epochs, _metrics(trainer)))
        ended = self.ended if trainer.stop else None
        self.report.checkpoint(self.epochs_done, _checkpoint_files(trainer), ended=ended)


def _overrides(params: YoloParams, model: ModelSource) -> dict[str, Any]:
    source = model.path_or_name
    if model.kind == "config" and not source.endswith((".yaml", ".yml")):
        source += ".yaml"
    overrides = {name: getattr(params, name) for name in _SAME_NAMES}
    overrides["optimizer"] = params.optimizer
    if params.lr0 is not None:
        overrides["lr0"] = params.lr0
        if params.optimizer == "auto":  # with which ultralytics ignores lr0
            overrides["optimizer"] = "SGD" if params.lr0 >= SGD_FROM else "AdamW"
    if model.parent:
        overrides["warmup_bias_lr"] = 0.0  # the default, 0.1, is for new biases: it undoes those of a parent
    if params.freeze:
        overrides["freeze"] = params.freeze
    return {
        **overrides,
        **{"task": "detect", "mode": "train", "model": source, "pretrained": params.pretrained != "never"},
        **{"deterministic": True, "val": True, "save": True, "resume": False},
    }


def _resumed(work: Path) -> dict[str, Any]:
    """All other settings are in last.pt: the resolved optimizer, a halved batch, the hyperparameters."""
    last = str(work / "weights" / "last.pt")
    return {"task": "detect", "mode": "train", "model": last, "resume": last}


def _restore(resume: Checkpoint, work: Path) -> None:
    (work / "weights").mkdir(parents=True, exist_ok=True)
    for name in CHECKPOINT_FILES:
        shutil.copyfile(resume.path / name, work / name if name.endswith(".csv") else work / "weights" / name)


def _checkpoint_files(trainer: Any) -> dict[str, Path]:
    return dict(zip(CHECKPOINT_FILES, (trainer.last, trainer.best, trainer.csv), strict=True))


def _metrics(trainer: Any) -> dict[str, float | None]:
    losses = dict(trainer.tloss)
    val_losses = {
        name.replace("val/", "val_"): value for name, value in trainer.metrics.items() if name.startswith("val/")
    }
    ours = {_METRICS[name]: value for name, value in trainer.metrics.items() if name in _METRICS}
    numbers = {**ours, **losses, **val_losses, "lr": next(iter(trainer.lr.values()))}
    return {name: _rounded(float(value)) for name, value in numbers.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _close_loaders(trainer: Any) -> None:
    """Else their worker processes live as long as this one."""
    for name in ("train_loader", "test_loader"):
        loader: Any = getattr(trainer, name, None)
        if hasattr(loader, "close"):
            loader.close()


def _fitted(work: Path, *, ended: Ended, epochs_done: int, batch: int) -> FittedDetector:
    return FittedDetector(
        best=work / "weights" / "best.pt",
        results=work / RESULTS,
        ended=ended,
        epochs_done=epochs_done,
        batch=batch,
    )
