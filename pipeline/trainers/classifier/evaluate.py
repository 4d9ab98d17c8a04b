"""`evaluate` of every classifier: the predictions of a published model on a split, and their report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from core.domain.errors import ParamsInvalid
from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.evaluation.thresholds import Thresholds
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import open_tree
from pipeline.trainers.classifier.predict_split import predict_split
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.device import visible_device


def evaluate_classifier(
    model: tuple[nn.Module, Any, Sequence[str]],
    dataset: Path,
    out: Path,
    report: Reporter,
    *,
    splits: Sequence[str],
    batch: int,
    device: str,
    title: str,
    thresholds: Thresholds | None,
) -> None:
    """`model`: network, image processor, class names in its order. `thresholds`: those it has; None: val chooses.

    Raises ParamsInvalid where the dataset differs.
    """
    network, processor, names = model
    report.stage("loading")
    tree = open_tree(dataset)
    for split in splits:
        if split not in tree.splits:
            raise ParamsInvalid(f"The dataset has no {split} split.", split=split)
    if set(names) != set(tree.classes):
        raise ParamsInvalid(
            f"The model was trained on the classes {', '.join(names)}; the dataset has {', '.join(tree.classes)}."
        )
    report.stage("evaluating")
    used = visible_device(device)
    predicted = {
        split: predict_split(network, processor, tree.splits[split], tree.classes, report, batch=batch, device=used)
        for split in splits
    }
    side = input_side(processor)
    evaluation = ClassifierEvaluation(
        title=title,
        facts={"Split": ", ".join(splits), "Input": f"{side} x {side} px", "Device": str(used)},
        classes=tree.classes,
        predictions={split: _in_order_of_dataset(one, names) for split, (one, _) in predicted.items()},
        speeds={split: speed for split, (_, speed) in predicted.items()},
        openers={split: tree.splits[split].open for split in splits},
        history=(),
        best_epoch=None,
        label_errors=None,
        thresholds=thresholds,
    )
    write_evaluation(evaluation, out, raise_if_cancelled=report.raise_if_cancelled)


def _in_order_of_dataset(predictions: SplitPredictions, names: Sequence[str]) -> SplitPredictions:
    """The model's columns in the order of the dataset's classes."""
    columns = [list(names).index(name) for name in predictions.classes]
    return replace(predictions, probabilities=np.asarray(predictions.probabilities[:, columns]))
