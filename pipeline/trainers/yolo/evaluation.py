"""Evaluates a weights file on one split; the result is data, from which pipeline.plots draws the images."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.utils.metrics import ConfusionMatrix, smooth

from pipeline.dataset.predictions import PredictedBox
from pipeline.evaluation.matched_predictions import MatchedPredictions
from pipeline.plots.grid import Sample
from pipeline.trainers import Reporter
from pipeline.trainers.image_check import require_images
from pipeline.trainers.yolo.vendor import validator_class

MIN_SCORE = 0.25  # the default of prediction; the confusion matrix counts boxes of a higher confidence
MIN_IOU = 0.45  # the default of ultralytics for matching in a confusion matrix
GRID = 12  # images in the grid of predictions
CURVE_POINTS = 101  # of the 1000 that ultralytics computes: one per hundredth

# Without boxes in a split, or of a class, nothing can be measured: null, not zero.
_NOTHING: dict[str, float | None] = dict.fromkeys(("mAP50", "mAP50-95", "precision", "recall", "f1"))


@dataclass(frozen=True, slots=True)
class DetectorEvaluation:
    """`metrics` and `curves` are JSON values as they go to metrics.json and curves.json."""

    metrics: dict[str, Any]
    curves: dict[str, Any]
    matched: MatchedPredictions
    samples: tuple[Sample, ...]


def evaluate_split(
    weights: Path,
    data: Path,
    report: Reporter,
    *,
    split: str,
    stated: Mapping[str, str] | None,
    imgsz: int,
    batch: int,
    device: str,
    workers: int,
    work: Path,
    is_rtdetr: bool,
) -> DetectorEvaluation:
    """The metrics of `weights` on `split`. Precision, recall and F1 are those at the confidence of the best mean F1.

    `stated`: the stems of the images of the split -> their paths, by the manifest. Raises ImagesDiffer.
    """
    validator = _recording(validator_class(is_rtdetr=is_rtdetr), split, stated)(
        save_dir=work,
        args={
            **{"task": "detect", "mode": "val", "model": str(weights), "data": str(data), "split": split},
            **{"imgsz": imgsz, "batch": batch, "device": device, "workers": workers},
            **{"rect": not is_rtdetr, "plots": False, "verbose": False},
        },
        _callbacks=defaultdict(list, {"on_val_batch_end": [lambda _: report.raise_if_cancelled()]}),
    )
    validator(model=str(weights))
    names = [validator.names[index] for index in range(len(validator.names))]
    return DetectorEvaluation(
        metrics=_metrics(validator, names),
        curves=_curves(validator.metrics.box, names),
        matched=validator.matched,
        samples=tuple(validator.samples),
    )


def _recording(base: type[Any], split: str, stated: Mapping[str, str] | None) -> type[Any]:
    """A validator that also fills a confusion matrix at MIN_SCORE (that of ultralytics counts from 0.001), and keeps
    what it matched and some samples."""

    class RecordingValidator(base):  # type: ignore[misc]
        def init_metrics(self, model: Any) -> None:
            super().init_metrics(model)
            if stated is not None:
                read = [Path(file).stem for file in self.dataloader.dataset.im_files]
                require_images(split, stated=stated, read=read)
            self.confusion = ConfusionMatrix(names=model.names)
            self.samples: list[Sample] = []
            images = len(self.dataloader.dataset)
            self.sampled = {(index * images) // GRID for index in range(GRID)} if images > GRID else set(range(images))

        def update_metrics(self, preds: list[dict[str, Any]], batch: dict[str, Any]) -> None:
            first = self.seen
            super().update_metrics(preds, batch)
            for index, pred in enumerate(preds):
                truth = self._prepare_batch(index, batch)
                self.confusion.process_batch(pred, truth, conf=MIN_SCORE, iou_thres=MIN_IOU)
                if first + index in self.sampled:
                    self.samples.append(self.sample(pred, truth))

        def get_stats(self) -> dict[str, Any]:
            found = {name: np.concatenate(rows) for name, rows in self.metrics.stats.items()}
            self.matched = MatchedPredictions(
                scores=found["conf"].astype(float),
                classes=found["pred_cls"].astype(int),
                correct=found["tp"][:, 0].astype(bool),  # at IoU 0.5
                wanted=np.bincount(found["target_cls"].astype(int), minlength=len(self.names)),
            )
            stats: dict[str, Any] = super().get_stats()  # which clears them
            return stats

        def sample(self, pred: dict[str, Any], truth: dict[str, Any]) -> Sample:
            confident = {key: pred[key][pred["conf"] > MIN_SCORE] for key in ("bboxes", "conf", "cls")}
            scores = confident["conf"].tolist()
            ones = [1.0] * len(truth["cls"])
            return Sample(
                image=Path(truth["im_file"]),
                truth=_boxes(self.scale_preds(dict(truth), truth), ones, self.names),
                predicted=_boxes(self.scale_preds(confident, truth), scores, self.names),
            )

    return RecordingValidator


def _boxes(scaled: dict[str, Any], scores: list[float], names: dict[int, str]) -> tuple[PredictedBox, ...]:
    rows = zip(scaled["cls"].int().tolist(), scores, scaled["bboxes"].tolist(), strict=True)
    return tuple(PredictedBox(names[index], index, score, *corners) for index, score, corners in rows)


def _metrics(validator: Any, names: list[str]) -> dict[str, Any]:
    box = validator.metrics.box
    rows = {int(index): row for row, index in enumerate(box.ap_class_index)}
    instances = validator.metrics.nt_per_class
    images = validator.metrics.nt_per_image
    overall = _numbers(box.map50, box.map, box.mp, box.mr, float(np.mean(box.f1))) if rows else _NOTHING
    return {
        **overall,
        "images": int(validator.seen),
        "boxes": int(instances.sum()),
        "min_score": _best_score(box),
        "per_class": {
            name: {
                **_class_numbers(box, rows.get(index)),
                "images": int(images[index]),
                "instances": int(instances[index]),
            }
            for index, name in enumerate(names)
        },
        "speed": {
            "unit": "ms per image",
            **{name: round(float(validator.speed[name]), 3) for name in ("preprocess", "inference", "postprocess")},
        },
        "confusion_matrix": {
            "labels": [*names, "background"],
            "rows": "true",
            "columns": "predicted",
            "min_score": MIN_SCORE,
            "min_iou": MIN_IOU,
            "matrix": validator.confusion.matrix.T.astype(int).tolist(),
        },
    }


def _class_numbers(box: Any, row: int | None) -> dict[str, float | None]:
    if row is None:
        return dict(_NOTHING)
    return {**_numbers(box.ap50[row], box.ap[row], box.p[row], box.r[row], box.f1[row])}


def _numbers(map50: float, map50_95: float, precision: float, recall: float, f1: float) -> dict[str, float]:
    pairs = {"mAP50": map50, "mAP50-95": map50_95, "precision": precision, "recall": recall, "f1": f1}
    return {name: round(float(value), 5) for name, value in pairs.items()}


def _best_score(box: Any) -> float | None:
    """The confidence of the peak of the smoothed mean F1 curve, where ultralytics takes precision, recall and F1."""
    if not len(box.ap_class_index):
        return None
    return round(float(box.px[int(smooth(np.asarray(box.f1_curve).mean(0), 0.1).argmax())]), 3)


def _curves(box: Any, names: list[str]) -> dict[str, Any]:
    """Per class with boxes in the split: precision by recall, and precision, recall and F1 by confidence."""
    if not len(box.ap_class_index):
        return {"x": [], "classes": {}}
    at = np.linspace(0, len(box.px) - 1, CURVE_POINTS).round().astype(int)
    series = {
        "precision_by_recall": box.prec_values,
        "precision_by_score": box.p_curve,
        "recall_by_score": box.r_curve,
        "f1_by_score": box.f1_curve,
    }
    return {
        "x": np.asarray(box.px)[at].round(4).tolist(),
        "classes": {
            names[index]: {name: np.asarray(values)[row][at].round(5).tolist() for name, values in series.items()}
            for row, index in enumerate(box.ap_class_index)
        },
    }
