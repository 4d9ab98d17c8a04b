"""`evaluate` of an imported ONNX file: its predictions on splits of a prepared tree, and their report."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.domain.errors import ParamsInvalid
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation
from pipeline.evaluation.detection_report import write_detection_report
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.evaluation.thresholds import Thresholds, choose_thresholds, with_thresholds
from pipeline.json_file import write_json
from pipeline.layouts import MANIFEST_FILE
from pipeline.plots import draw_split
from pipeline.predictor.predictor import Prediction
from pipeline.predictor.validation import LOWEST_SCORE
from pipeline.process.huggingface_env import go_offline
from pipeline.trainers import Reporter
from pipeline.trainers.onnx.detected import DetectedSplit, LabelledImage, labelled_images, measure
from pipeline.trainers.onnx.predictor import OnnxPredictor

_STEPS = ("preprocess", "inference", "postprocess")


def evaluate_onnx(
    file: Path, dataset: Path, out: Path, report: Reporter, *, splits: Sequence[str], thresholds: Thresholds | None
) -> None:
    """See `pipeline.trainers.Trainer`. `thresholds`: those of the version; None: val chooses."""
    report.stage("loading")
    predictor = OnnxPredictor(file)
    kind = json.loads((dataset / MANIFEST_FILE).read_text(encoding="utf-8"))["kind"]
    if kind != predictor.export.metadata.kind:
        raise ParamsInvalid(f"The model is for {predictor.export.metadata.kind}, and the dataset is {kind}.")
    evaluate = _evaluate_detector if kind == "detection" else _evaluate_classifier
    evaluate(predictor, dataset, out, report, splits, thresholds)


def _evaluate_detector(
    predictor: OnnxPredictor,
    dataset: Path,
    out: Path,
    report: Reporter,
    splits: Sequence[str],
    thresholds: Thresholds | None,
) -> None:
    classes, images = labelled_images(dataset, splits)
    _require(predictor, classes, [split for split in splits if not images[split]])
    report.stage("evaluating")
    found = {split: _detected(predictor, images[split], classes, report) for split in splits}
    chosen = thresholds or choose_thresholds(
        found["val"].matched if "val" in found else None, classes, kind="detection"
    )
    measured = {split: found[split].metrics if split in found else None for split in (*HELD_OUT_SPLITS, *splits)}
    metrics = with_thresholds(measured, {split: each.matched for split, each in found.items()}, chosen)
    curves = {split: found[split].curves if split in found else None for split in measured}
    write_json(out / "metrics.json", metrics)
    write_json(out / "curves.json", curves, indent=None)
    for split, detected in found.items():
        report.raise_if_cancelled()
        drawn: dict[str, Any] = {"curves": detected.curves, "samples": detected.samples, "thresholds": chosen.classes}
        draw_split(out, split, metrics=metrics[split], **drawn)
    write_detection_report(out, title="onnx: model.onnx", facts=_facts(predictor, splits), metrics=metrics)


def _detected(
    predictor: OnnxPredictor, images: Sequence[LabelledImage], classes: Sequence[str], report: Reporter
) -> DetectedSplit:
    predictions = []
    for image in images:
        report.raise_if_cancelled()
        predictions.append(predictor.predicted(image.file.read_bytes(), min_score=LOWEST_SCORE))
    return measure(images, predictions, classes, speed=_speed(predictions))


def _evaluate_classifier(
    predictor: OnnxPredictor,
    dataset: Path,
    out: Path,
    report: Reporter,
    splits: Sequence[str],
    thresholds: Thresholds | None,
) -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-onnx-") as home:  # read while `datasets` is imported only
        go_offline(Path(home))
        from pipeline.trainers.classifier.data import open_tree
    tree = open_tree(dataset)
    _require(predictor, tree.classes, [split for split in splits if split not in tree.splits])
    report.stage("evaluating")
    predicted, speeds = {}, {}
    for split in splits:
        images, rows = tree.splits[split], []
        for index in range(len(images)):
            report.raise_if_cancelled()
            rows.append(predictor.predicted(images.content(index), min_score=0.0, top=len(tree.classes)))
        probabilities = _probabilities(rows, tree.classes)
        predicted[split] = SplitPredictions(tree.classes, images.paths, np.asarray(images.labels), probabilities)
        speeds[split] = _speed(rows)
    evaluation = ClassifierEvaluation(
        title="onnx: model.onnx",
        facts=_facts(predictor, splits),
        classes=tree.classes,
        predictions=predicted,
        speeds=speeds,
        openers={split: tree.splits[split].open for split in splits},
        history=(),
        best_epoch=None,
        label_errors=None,
        thresholds=thresholds,
    )
    write_evaluation(evaluation, out, raise_if_cancelled=report.raise_if_cancelled)


def _require(predictor: OnnxPredictor, classes: Sequence[str], missing: Sequence[str]) -> None:
    """Raises ParamsInvalid for a split without images, and for other classes; their order may differ."""
    if missing:
        raise ParamsInvalid(f"The dataset has no {missing[0]} split.", split=missing[0])
    if set(predictor.classes) != set(classes):
        named = ", ".join(predictor.classes)
        raise ParamsInvalid(f"The model was trained on the classes {named}; the dataset has {', '.join(classes)}.")


def _probabilities(predictions: Sequence[Prediction], classes: Sequence[str]) -> Any:
    """(N, classes), in the order of the dataset."""
    column = {name: index for index, name in enumerate(classes)}
    probabilities = np.zeros((len(predictions), len(classes)))
    for row, prediction in enumerate(predictions):
        for label in prediction.labels:
            probabilities[row, column[label.label]] = label.score
    return probabilities


def _facts(predictor: OnnxPredictor, splits: Sequence[str]) -> dict[str, Any]:
    wanted = predictor.export.metadata.preprocessing
    return {
        "Split": ", ".join(splits),
        "Input": f"{wanted.width} x {wanted.height} px",
        "Engine": predictor.export.engine,
    }


def _speed(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Mean ms per image of each step; reading the image is a part of `preprocess`."""
    steps = {name: sum(each.milliseconds[name] for each in predictions) for name in ("decode", *_STEPS)}
    steps["preprocess"] += steps.pop("decode")
    return {name: round(steps[name] / len(predictions), 3) for name in _STEPS}
