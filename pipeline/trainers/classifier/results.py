"""The numbers of a classifier after each epoch, its rows of results.csv, and the end of its training."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.split_predictions import SplitPredictions, softmax
from pipeline.trainers import Ended

SCORES = ("accuracy", "f1", "precision", "recall")  # on val, reported after each epoch
COLUMNS = {"train/loss": "loss", "val/loss": "val_loss", **{f"metrics/{name}": name for name in SCORES}, "lr": "lr"}


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """`best` holds the weights of `best_epoch`, `results` is results.csv; both as of the last complete epoch."""

    best: Path
    results: Path
    ended: Ended
    epochs_done: int
    best_epoch: int


def split_scores(classes: tuple[str, ...], logits: Any, labels: Any) -> dict[str, float]:
    """SCORES of a split, from logits (N, classes) and N labels."""
    paths = ("",) * len(labels)
    metrics = classification_metrics(SplitPredictions(classes, paths, np.asarray(labels), softmax(np.asarray(logits))))
    return {name: float(metrics[name]) for name in SCORES}


def rounded(value: float) -> float:
    """To 6 significant digits."""
    return float(f"{value:.6g}")


def append_result(path: Path, epoch: int, seconds: float, metrics: Mapping[str, float]) -> None:
    """Appends one row; `metrics` has a value for each of COLUMNS."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["epoch", "time", *COLUMNS])
        rows.writerow([epoch, round(seconds, 2), *(metrics[name] for name in COLUMNS.values())])
