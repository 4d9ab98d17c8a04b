"""The confidence above which a prediction counts: of each class, and one for all.

It is where F1 on val is best. Of a class that is the peak of its own curve; for all it is the peak of the mean of the
curves of the classes, so that a frequent class does not decide for a rare one, as in mAP and in ultralytics
(utils/metrics.py, DetMetrics). Where a range of confidences is equally good, it is the middle of the widest one: the
farthest from the nearest prediction that would change it.

Of a detector, boxes above it are listed. A classifier always answers its most probable class; below the threshold of
that class the answer is marked as unsure. Its F1 counts an unsure image as not predicted, one class against the rest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.matched_predictions import CONFIDENCES, MatchedPredictions, f1_by_confidence, figures_above

Source = Literal["val", "all", "default"]
# Where val chose nothing. A classifier without a threshold is never unsure: 0.25 says little about two or 200 classes.
DEFAULTS: Mapping[str, float] = {"detection": 0.25, "classification": 0.0}
MIN_WANTED = 5  # boxes or images in val, of a class or of all: below, a single one moves recall by more than a fifth
METRICS_FILE, MODEL_FILE = "metrics.json", "model.json"
_NAMES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`source`: `val`, or `default` where val chose nothing. Of a class, in `sources`, also `all`: it has that one."""

    all: float
    source: Source
    classes: Mapping[str, float]
    sources: Mapping[str, Source]

    def of(self, classes: Sequence[str]) -> tuple[float, ...]:
        """In the order of `classes`; that for all where one has none."""
        return tuple(self.classes.get(name, self.all) for name in classes)


def choose_thresholds(matched: MatchedPredictions | None, classes: Sequence[str], *, kind: str) -> Thresholds:
    """`matched`: the predictions on val, where there is one."""
    whole, source = DEFAULTS[kind], "default"
    own: dict[int, float] = {}
    if matched is not None and matched.wanted.sum() >= MIN_WANTED:
        curves = f1_by_confidence(matched)
        mean = curves[matched.wanted > 0].mean(axis=0)
        if mean.max() > 0:
            whole, source = _best(mean), "val"
        chosen = np.flatnonzero((matched.wanted >= MIN_WANTED) & (curves.max(axis=1) > 0))
        own = {int(index): _best(curves[index]) for index in chosen}
    fallback: Source = "all" if source == "val" else "default"
    return Thresholds(
        all=whole,
        source="val" if source == "val" else "default",
        classes={name: own.get(index, whole) for index, name in enumerate(classes)},
        sources={name: "val" if index in own else fallback for index, name in enumerate(classes)},
    )


def published_thresholds(model: Path) -> Thresholds | None:
    """Those among the artifacts of a model: `model` is their folder, or the weights file that its model.json names.

    None for any other file, and for a model that has none. Raises ValueError for a file that cannot be read.
    """
    folder = model if model.is_dir() else model.parent
    try:
        if folder != model and _read(folder / MODEL_FILE).get("weights", {}).get("name") != model.name:
            return None
        found = _read(folder / METRICS_FILE).get("thresholds")
        return None if found is None else read_thresholds(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The thresholds in {folder / METRICS_FILE} cannot be read: {error}") from error


def read_thresholds(found: Mapping[str, Any]) -> Thresholds:
    """`found`: `thresholds` of metrics.json. Raises KeyError, TypeError and ValueError for anything else."""
    classes = {str(name): float(value) for name, value in found["classes"].items()}
    return Thresholds(float(found["all"]), found["source"], classes, dict(found["sources"]))


def with_thresholds(
    metrics: Mapping[str, Any], matched: Mapping[str, MatchedPredictions], thresholds: Thresholds
) -> dict[str, Any]:
    """`metrics` by split, as in metrics.json, with the figures above the thresholds, and with `thresholds`."""
    measured = {split: _measured(metrics[split], matched[split], thresholds) for split in matched}
    return {**metrics, **measured, "thresholds": asdict(thresholds)}


def _best(curve: NDArray[np.float64]) -> float:
    """The middle of the widest plateau at the height of the peak; of equally wide ones that of the lowest."""
    at_peak = np.concatenate(([False], curve >= curve.max() - 1e-9, [False]))
    edges = np.flatnonzero(at_peak[1:] != at_peak[:-1])
    starts, ends = edges[::2], edges[1::2] - 1
    widest = int((ends - starts).argmax())
    return float(CONFIDENCES[(starts[widest] + ends[widest]) // 2])


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _measured(metrics: Mapping[str, Any], matched: MatchedPredictions, thresholds: Thresholds) -> dict[str, Any]:
    """The mean over the classes with something to be found, and each class."""
    rows = metrics["per_class"]
    found = [
        None if one is None else {name: round(value, 5) for name, value in asdict(one).items()}
        for one in figures_above(matched, thresholds.of(list(rows)))
    ]
    nothing = dict.fromkeys(_NAMES)
    present = [one for one in found if one is not None]
    overall = (
        {name: round(float(np.mean([one[name] for one in present])), 5) for name in _NAMES} if present else nothing
    )
    per_class = {
        name: {**row, "at_threshold": one or dict(nothing)}
        for (name, row), one in zip(rows.items(), found, strict=True)
    }
    return {**metrics, "at_threshold": overall, "per_class": per_class}
