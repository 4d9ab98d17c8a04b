"""What a classifier's run says after each epoch: its numbers on val, and results.csv. The same for every classifier."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.evaluated import Judged, softmax
from pipeline.evaluation.metrics import classification_metrics

RESULTS = "results.csv"
SCORES = ("accuracy", "f1", "precision", "recall")  # what is told after each epoch
COLUMNS = {"train/loss": "loss", "val/loss": "val_loss", **{f"metrics/{name}": name for name in SCORES}, "lr": "lr"}


def split_numbers(classes: tuple[str, ...], logits: Any, labels: Any) -> dict[str, float]:
    """SCORES of a split, from logits (N, classes) and N labels."""
    paths = ("",) * len(labels)
    metrics = classification_metrics(Judged(classes, paths, np.asarray(labels), softmax(np.asarray(logits))))
    return {name: float(metrics[name]) for name in SCORES}


def rounded(value: float) -> float:
    return float(f"{value:.6g}")


def append_result(path: Path, epoch: int, seconds: float, metrics: Mapping[str, float]) -> None:
    """One row; `metrics` has what COLUMNS names."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["epoch", "time", *COLUMNS])
        rows.writerow([epoch, round(seconds, 2), *(metrics[name] for name in COLUMNS.values())])


def read_results(path: Path) -> list[dict[str, float]]:
    """results.csv as rows of numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
