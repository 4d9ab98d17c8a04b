"""Versions that were evaluated, with what they answered for each image: of a detector and of a classifier."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.db.tables import EvaluationRow, JobRow, VersionRow
from core.services.context import Platform
from core.services.models.evaluations import EvaluationRequest, request_evaluation
from core.services.runs import lifecycle as training
from core.services.work.leases import Claim
from pipeline.evaluation.detection_metrics import ImageBoxes, metrics_of_boxes, scored_boxes
from pipeline.evaluation.image_results import ClassifierResults, ImageResults
from pipeline.evaluation.matched_predictions import figures_above, matched_boxes
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.split_predictions import SplitPredictions
from tests.builders import rows
from tests.builders.evaluated import claimed, published
from tests.builders.image_results import detector
from tests.builders.published import put

SEEN = {"known": True, "images": 0}


def trained(
    platform: Platform,
    job: JobRow,
    metrics: dict[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    contents: Mapping[str, bytes] | None = None,
) -> VersionRow:
    """The next version of the dataset, whose training reported `metrics`. `contents`: artifacts beside the weights."""
    claim = rows.running_run(platform, job.id)
    files = {"best.pt": b"weights of " + claim.id.encode(), **(contents or {})}
    artifacts = [
        training.PublishedArtifact(
            name,
            *put(platform, f"runs/{claim.id}/1/artifacts/{name}", content),
            "image/png" if name.endswith(".png") else "application/octet-stream",
        )
        for name, content in files.items()
    ]
    version = training.publish_version(
        platform.db, claim, metrics=metrics, weights_name="best.pt", artifacts=artifacts, log_key=None
    )
    with platform.db.transaction() as session:
        session.merge(version).params = dict(params or {"model": "yolov8n", "epochs": 30})
    return version


def evaluated_detector(
    platform: Platform,
    version: VersionRow,
    job: JobRow,
    images: Mapping[str, ImageBoxes],
    classes: tuple[str, ...],
    *,
    threshold: float = 0.5,
    claim: Claim | None = None,
) -> EvaluationRow:
    """On the test split. `images`: by path. `claim`: of the operation that makes it, if there is one."""
    results = detector(list(images.values()), classes=classes, least=threshold, paths=list(images))
    lines = [
        {
            "path": path,
            "boxes": [
                {"label": classes[int(row[5])], "score": round(float(row[4]), 5), "box": [float(v) for v in row[:4]]}
                for row in boxes.predicted
            ],
        }
        for path, boxes in images.items()
    ]
    metrics = detector_metrics(list(images.values()), classes, threshold)
    return _evaluation(platform, version, job, metrics, results, lines, claim=claim)


def detector_metrics(images: Sequence[ImageBoxes], classes: Sequence[str], threshold: float) -> dict[str, Any]:
    """As a training reports them, of one split, with the thresholds of an evaluation."""
    boxes = scored_boxes(images, len(classes))
    found = metrics_of_boxes(boxes, classes)
    wanted = boxes.wanted
    above = figures_above(matched_boxes(images, len(classes)), [threshold] * len(classes))
    per_class = {
        name: {
            **found["per_class"][name],
            "images": int((wanted[:, index] > 0).sum()),
            "instances": int(wanted[:, index].sum()),
        }
        for index, name in enumerate(classes)
    }
    known = [each for each in above if each is not None]
    at = {name: float(np.mean([getattr(each, name) for each in known])) for name in ("precision", "recall", "f1")}
    return {
        **found,
        "per_class": per_class,
        "images": len(images),
        "boxes": int(wanted.sum()),
        "at_threshold": at,
        "thresholds": {"all": threshold, "classes": dict.fromkeys(classes, threshold)},
        "intervals": {
            name: [max(0.0, found[name] - 0.06), min(1.0, found[name] + 0.05)]
            for name in ("mAP50", "mAP50-95")
            if found[name] is not None
        },
        "seen": SEEN,
    }


def evaluated_classifier(
    platform: Platform, version: VersionRow, job: JobRow, predictions: SplitPredictions, *, threshold: float = 0.6
) -> EvaluationRow:
    """On the test split."""
    classes = predictions.classes
    results = ClassifierResults(
        classes=classes,
        shared=len(classes),
        paths=predictions.paths,
        libraries={},
        labels=predictions.labels,
        label_scores=predictions.label_probabilities,
        predicted=predictions.predicted,
        scores=np.asarray(predictions.probabilities.max(axis=1)),
    )
    lines = []
    for path, row in zip(predictions.paths, predictions.probabilities, strict=True):
        best = np.argsort(-row)[:5]
        top = [{"label": classes[index], "score": round(float(row[index]), 5)} for index in best]
        lines.append({"path": path, "labels": top})
    metrics = classification_metrics(predictions) | {
        "thresholds": {"all": threshold, "classes": dict.fromkeys(classes, threshold)},
        "intervals": {"accuracy": [0.7, 0.95]},
        "seen": SEEN,
    }
    return _evaluation(platform, version, job, metrics, results, lines)


def _evaluation(
    platform: Platform,
    version: VersionRow,
    job: JobRow,
    metrics: dict[str, Any],
    results: ImageResults,
    lines: Sequence[Mapping[str, Any]],
    *,
    claim: Claim | None = None,
) -> EvaluationRow:
    request = EvaluationRequest(job.id, version=f"{version.project}/v{version.number}")
    claim = claim or claimed(platform, request_evaluation(platform, request).operation.id)
    contents = {
        "metrics.json": json.dumps({"test": metrics}).encode(),
        "predictions.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines).encode(),
    }
    row_metrics = {name: value for name, value in metrics.items() if name not in ("per_class", "confusion_matrix")}
    return published(platform, claim, row_metrics, results=results, contents=contents)
