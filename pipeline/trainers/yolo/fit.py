"""The training itself: ultralytics' loop, with our hands on its callbacks.

It is never stopped by `trainer.stop` (a later resume would silently start afresh) nor by its `time` (it replaces
`epochs`): an exception out of a callback ends it, and the files of the last whole epoch are what counts.
"""

import csv
import math
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.domain.errors import Diverged
from pipeline.params.yolo import YoloParams
from pipeline.trainers import Checkpoint, Ended, ModelSource, Progress, Reporter, TrainingEnded
from pipeline.trainers.yolo.vendor import trainer_class

CHECKPOINT_FILES = ("last.pt", "best.pt", "results.csv")

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
SGD_FROM = 0.005  # a given lr0 from here up is meant for SGD (usually 0.01), below for AdamW (usually 0.001)


@dataclass(frozen=True, slots=True)
class Fitted:
    """`work/weights/{last,best}.pt` and `work/results.csv` are those of the last whole epoch."""

    best: Path
    results: Path
    ended: Ended
    epochs_done: int
    batch: int


def fit(
    data: Path,
    params: YoloParams,
    work: Path,
    report: Reporter,
    *,
    model: ModelSource,
    resume: Checkpoint | None,
    is_rtdetr: bool,
    device: str,
) -> Fitted:
    """Train to the end of the epochs, of patience or of time. Raises Diverged, RunCancelled, TimedOut."""
    if resume:
        _lay_out(resume, work)
    if resume and resume.ended:
        return _fitted(work, ended=resume.ended, epochs_done=resume.epoch, batch=params.batch)
    watch = _Watch(report, epochs_done=resume.epoch if resume else 0)
    overrides = _resumed(work) if resume else _overrides(params, model)
    trainer = trainer_class(is_rtdetr=is_rtdetr)(
        overrides={
            **overrides,
            **{"data": str(data), "save_dir": str(work), "device": device, "workers": params.workers},
            **{"plots": False, "verbose": False},
        },
        _callbacks=watch.callbacks(),
    )
    try:
        trainer.train()
    except TrainingEnded as end:
        watch.ended = end.ended
        report.checkpoint(watch.epochs_done, _checkpoint_files(trainer), ended=end.ended)
    finally:
        _close_loaders(trainer)
    return _fitted(work, ended=watch.ended, epochs_done=watch.epochs_done, batch=trainer.batch_size)


class _Watch:
    """What we do at ultralytics' callbacks."""

    def __init__(self, report: Reporter, *, epochs_done: int) -> None:
        self.report = report
        self.epochs_done = epochs_done
        self.ended: Ended = "completed"

    def callbacks(self) -> dict[str, list[Callable[[Any], None]]]:
        return defaultdict(
            list,
            {
                "on_pretrain_routine_end": [self.poll],
                "on_train_start": [self.go_on_counting_time, lambda _: self.report.stage("training")],
                "on_train_epoch_start": [self.poll],
                "on_train_batch_end": [self.poll],
                "on_train_epoch_end": [self.raise_if_diverged],
                "on_val_batch_end": [
                    lambda _: self.report.raise_if_cancelled()
                ],  # its epoch is nearly done: let it count
                "on_model_save": [self.tell],
            },
        )

    def poll(self, trainer: Any) -> None:
        self.report.poll(have_model=trainer.best.exists())

    def go_on_counting_time(self, trainer: Any) -> None:
        """The column `time` of results.csv goes on where the attempt before left off."""
        rows = read_results(trainer.csv)
        trainer.train_time_start -= rows[-1]["time"] if rows else 0.0

    def raise_if_diverged(self, trainer: Any) -> None:
        """In the first epoch nothing can be restored; later ultralytics goes back to last.pt, three times."""
        finite = all(math.isfinite(float(value)) for value in trainer.tloss.values())
        if not finite and trainer.epoch == trainer.start_epoch:
            raise Diverged("The loss was not finite in the first epoch.", epoch=trainer.epoch + 1)

    def tell(self, trainer: Any) -> None:
        """An epoch is done, validated and saved."""
        self.epochs_done = trainer.epoch + 1
        self.ended = "completed" if self.epochs_done >= trainer.epochs else "early-stopped"
        self.report(Progress(self.epochs_done, trainer.epochs, _metrics(trainer)))
        ended = self.ended if trainer.stop else None
        self.report.checkpoint(self.epochs_done, _checkpoint_files(trainer), ended=ended)


def choose_device(wanted: str) -> str:
    """Ours -> theirs: `cpu`, `mps` or the number of a GPU."""
    if wanted == "auto":
        return "0" if torch.cuda.is_available() else "cpu"
    return {"cuda": "0"}.get(wanted, wanted.removeprefix("cuda:"))


def read_results(path: Path) -> list[dict[str, float]]:
    """results.csv as rows of numbers; empty when there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _overrides(params: YoloParams, model: ModelSource) -> dict[str, Any]:
    source = model.path_or_name
    if model.kind == "config" and not source.endswith((".yaml", ".yml")):
        source += ".yaml"
    overrides = {name: getattr(params, name) for name in _SAME_NAMES}
    overrides["optimizer"] = params.optimizer
    if params.lr0 is not None:
        overrides["lr0"] = params.lr0
        if params.optimizer == "auto":  # theirs ignores a given lr0 then
            overrides["optimizer"] = "SGD" if params.lr0 >= SGD_FROM else "AdamW"
    if params.freeze:
        overrides["freeze"] = params.freeze
    return {
        **overrides,
        **{"task": "detect", "mode": "train", "model": source, "pretrained": params.pretrained != "never"},
        **{"deterministic": True, "val": True, "save": True, "resume": False},
    }


def _resumed(work: Path) -> dict[str, Any]:
    """Everything else comes out of last.pt: the resolved optimizer, a halved batch, the hyperparameters."""
    last = str(work / "weights" / "last.pt")
    return {"task": "detect", "mode": "train", "model": last, "resume": last}


def _lay_out(resume: Checkpoint, work: Path) -> None:
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
    """Their worker processes would live as long as this one."""
    for name in ("train_loader", "test_loader"):
        loader: Any = getattr(trainer, name, None)
        if hasattr(loader, "close"):
            loader.close()


def _fitted(work: Path, *, ended: Ended, epochs_done: int, batch: int) -> Fitted:
    return Fitted(
        best=work / "weights" / "best.pt",
        results=work / "results.csv",
        ended=ended,
        epochs_done=epochs_done,
        batch=batch,
    )
