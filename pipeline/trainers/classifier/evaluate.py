"""`test` of every classifier: what a published model says about a split, and the report of that."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from core.domain.errors import ParamsInvalid
from pipeline.evaluation.classification import write_outcome
from pipeline.evaluation.evaluated import Judged
from pipeline.evaluation.outcome import ClassifierEvaluation
from pipeline.trainers import Reporter
from pipeline.trainers.classifier.data import open_tree
from pipeline.trainers.classifier.predict_split import choose_device, judge
from pipeline.trainers.classifier.tensors import input_side


def evaluate_classifier(
    model: tuple[nn.Module, Any, Sequence[str]],
    dataset: Path,
    out: Path,
    report: Reporter,
    *,
    split: str,
    batch: int,
    device: str,
    title: str,
) -> None:
    """`model`: network, image processor, class names in its order. Raises ParamsInvalid for a set that does not fit."""
    network, processor, names = model
    report.stage("loading")
    tree = open_tree(dataset)
    if split not in tree.splits:
        raise ParamsInvalid(f"The dataset has no {split} split.", split=split)
    if set(names) != set(tree.classes):
        raise ParamsInvalid(
            f"The model knows the classes {', '.join(names)}; the dataset has {', '.join(tree.classes)}."
        )
    report.stage("evaluating")
    images, place = tree.splits[split], choose_device(device)
    judged, speed = judge(network, processor, images, tree.classes, report, batch=batch, device=place)
    outcome = ClassifierEvaluation(
        title=title,
        facts={"Split": split, "Input": f"{input_side(processor)} x {input_side(processor)} px", "Device": str(place)},
        classes=tree.classes,
        judged={split: _in_order(judged, names)},
        speeds={split: speed},
        openers={split: images.open},
        history=(),
        best_epoch=None,
        suspects=None,
    )
    write_outcome(outcome, out, check=report.raise_if_cancelled)


def _in_order(judged: Judged, names: Sequence[str]) -> Judged:
    """The model's columns in the order of the dataset's classes."""
    columns = [list(names).index(name) for name in judged.classes]
    return replace(judged, probabilities=np.asarray(judged.probabilities[:, columns]))
