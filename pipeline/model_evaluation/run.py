"""One evaluation: the model and the split -> classes by name -> predictions -> seen images -> figures -> report."""

import json
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.domain.errors import DarkroomError, EvaluationKindMismatch, NoSharedClass, OperationFailed
from pipeline.evaluation.class_match import ClassMatch, match_classes
from pipeline.evaluation.detection_metrics import metrics_of_boxes
from pipeline.evaluation.image_results import DetectorResults, classifier_results, write_results
from pipeline.evaluation.read_paired import RESULTS_FILE
from pipeline.evaluation.report import Cell
from pipeline.evaluation.thresholds import (
    Source,
    Thresholds,
    choose_thresholds,
    published_thresholds,
    read_thresholds,
)
from pipeline.json_file import write_json
from pipeline.model_evaluation import classification, detection
from pipeline.model_evaluation.models import MODEL_FILE, ExportedModel, MeasuredModel, open_model
from pipeline.model_evaluation.parts import Parts, parts_of
from pipeline.model_evaluation.report_sections import evaluation_sections, write_seen
from pipeline.model_evaluation.seen_images import SeenImage, find_seen_images
from pipeline.model_evaluation.split_images import EvaluatedSplit, open_split
from pipeline.model_evaluation.written import Written, write_classifier, write_detector
from pipeline.process.progress import StageReporter
from pipeline.process.results import Evaluated
from pipeline.process.specs import EvaluateSpec

ARTIFACTS = "artifacts"
PREDICTIONS = "predictions.jsonl"


def evaluate_version(spec: EvaluateSpec, steps: StageReporter) -> Evaluated:
    """Leaves the report in `out/artifacts`.

    Raises EvaluationKindMismatch, NoSharedClass, ParamsInvalid, ImagesDiffer, WeightsUnavailable, OperationFailed,
    RunCancelled.
    """
    folder = spec.out / ARTIFACTS
    folder.mkdir(parents=True, exist_ok=True)
    try:
        metrics = _evaluated(spec, folder, steps)
    except (DarkroomError, MemoryError, OSError):
        raise
    except Exception as error:  # of any library; the operation ends with its name, the log has the rest
        traceback.print_exc()
        raise OperationFailed(f"{type(error).__name__}: {error}"[:2000]) from error
    write_json(folder / "evaluation.json", metrics)
    return Evaluated(metrics=metrics)


def _evaluated(spec: EvaluateSpec, folder: Path, steps: StageReporter) -> dict[str, Any]:
    steps.stage("loading")
    split = open_split(spec.dataset, spec.split)
    model, kind, engine = open_model(spec)
    if kind != split.kind:
        detail = f"{spec.name} is for {kind}, and {spec.dataset_name} is a dataset for {split.kind}."
        raise EvaluationKindMismatch(detail, kind=kind, dataset_kind=split.kind)
    match = match_classes(split.classes, model.classes)
    thresholds = _thresholds(spec, model, match, kind)
    steps.stage("comparing")
    seen = _seen(spec, steps)
    facts: dict[str, Cell] = {
        "Model": spec.name,
        "Run by": engine,
        "Dataset": spec.dataset_name,
        "Split": spec.split,
        "Images": len(split.images),
    }
    written = Written(folder, spec.split, f"{spec.name} on {spec.dataset_name}", facts, match, thresholds, ())
    work = _detector if kind == "detection" else _classifier
    content = work(spec, split, model, written, seen, steps)
    if seen is not None:
        write_seen(seen, folder / "seen_images.csv")
    return {"kind": kind, "split": spec.split, "classes": match.as_json(), **content}


def _thresholds(spec: EvaluateSpec, model: MeasuredModel, match: ClassMatch, kind: str) -> Thresholds:
    """Those that the model answers with, by the dataset's names of the classes; the defaults where it has none."""
    found = published_thresholds(spec.model) if spec.trainer is not None else None
    in_file = model.predictor if found is None and isinstance(model, ExportedModel) else None
    if found is None and spec.thresholds:  # of an export: those of a version's row are of its first classes alone
        found = read_thresholds(spec.thresholds)
    if found is None:
        found = choose_thresholds(None, (), kind=kind)
        if in_file and kind == "detection":
            found = replace(found, all=in_file.metadata.output.min_score)
    every = in_file.thresholds if in_file else found.of(match.model)
    theirs = [match.model[index] for _, index in match.pairs]
    values = {ours: every[index] for ours, (_, index) in zip(match.shared, match.pairs, strict=True)}
    fallback: Source = "default" if found.source == "default" else "all"
    sources = {ours: found.sources.get(name, fallback) for ours, name in zip(match.shared, theirs, strict=True)}
    return Thresholds(found.all, found.source, values, sources)


def _seen(spec: EvaluateSpec, steps: StageReporter) -> list[SeenImage] | None:
    """None where nothing is known about what the model was trained on."""
    if spec.index is None or not (spec.trained_on or spec.trained_on_known):
        return None
    names = spec.trained_on_names or tuple(
        spec.dataset_name if file == spec.index else "a dataset of its training" for file in spec.trained_on
    )
    trained_on = list(zip(names, spec.trained_on, strict=True))
    return find_seen_images(spec.index, spec.split, trained_on, steps.raise_if_cancelled)


def _detector(
    spec: EvaluateSpec,
    split: EvaluatedSplit,
    model: MeasuredModel,
    written: Written,
    seen: Sequence[SeenImage] | None,
    steps: StageReporter,
) -> dict[str, Any]:
    match = written.match
    steps.stage("predicting")
    measured = detection.measure_detector(
        model, split.images, match, written.thresholds, written.folder / PREDICTIONS, steps
    )
    paths = tuple(image.path for image in split.images)
    results = DetectorResults(
        tuple(match.shared), paths, _libraries(spec), measured.boxes, measured.truth, measured.listed
    )
    write_results(results, written.folder / RESULTS_FILE)
    steps.stage("measuring")
    parts = parts_of(
        paths,
        seen,
        lambda chosen: detection.figures_of(measured.boxes.of_images(chosen), match.shared),
        is_complete=spec.trained_on_known,
    )
    boxes = Counter(split.classes[int(row[0])] for image in split.images for row in image.boxes)
    left_out = {name: boxes[name] for name in match.missing}
    written = _with_sections(written, parts, detection.FIGURES, detection.MAIN, left_out, ("box", "boxes"))
    steps.stage("writing")
    metrics = write_detector(written, measured, model, split.images, steps)
    figure = _with_missing(metrics_of_boxes(measured.boxes, match.shared)["per_class"], left_out)
    return _content(parts, metrics, written, {"unit": "boxes", "count": sum(left_out.values()), "figure": figure})


def _with_missing(per_class: dict[str, Any], left_out: dict[str, int]) -> float | None:
    """mAP50-95 in which the classes that the model lacks count as zero."""
    found = [row[detection.MAIN] for row in per_class.values() if row[detection.MAIN] is not None]
    found += [0.0 for count in left_out.values() if count]
    return round(float(np.mean(found)), 5) if found else None


def _classifier(
    spec: EvaluateSpec,
    split: EvaluatedSplit,
    model: MeasuredModel,
    written: Written,
    seen: Sequence[SeenImage] | None,
    steps: StageReporter,
) -> dict[str, Any]:
    match = written.match
    images = classification.has_class(split.images, match)
    if not images:
        raise NoSharedClass(
            f"No image of {spec.split} in {spec.dataset_name} is of a class that the model knows.",
            model=list(model.classes[:10]),
            dataset=list(split.classes[:10]),
        )
    steps.stage("predicting")
    predictions, milliseconds = classification.measure_classifier(
        model, images, match, written.folder / PREDICTIONS, steps
    )
    results = classifier_results(predictions, shared=len(match.shared), libraries=_libraries(spec))
    write_results(results, written.folder / RESULTS_FILE)
    steps.stage("measuring")
    parts = parts_of(
        predictions.paths,
        seen,
        lambda chosen: classification.figures_of(classification.part_of(predictions, chosen)),
        is_complete=spec.trained_on_known,
    )
    labels = Counter(split.classes[image.label] for image in split.images if image.label is not None)
    left_out = {name: labels[name] for name in match.missing}
    written = _with_sections(written, parts, classification.FIGURES, classification.MAIN, left_out, ("image", "images"))
    steps.stage("writing")
    metrics = write_classifier(written, predictions, milliseconds, images, steps)
    right = int((predictions.predicted == predictions.labels).sum())
    figure = round(right / len(split.images), 5)
    return _content(parts, metrics, written, {"unit": "images", "count": sum(left_out.values()), "figure": figure})


def _libraries(spec: EvaluateSpec) -> dict[str, str]:
    """Those that the version was trained or imported with; none of an export, whose file says nothing of them."""
    if spec.trainer is None:
        return {}
    described = json.loads((spec.model / MODEL_FILE).read_text(encoding="utf-8"))
    return {str(name): str(version) for name, version in (described.get("versions") or {}).items()}


def _with_sections(
    written: Written, parts: Parts, figures: Sequence[str], main: str, left_out: dict[str, int], unit: tuple[str, str]
) -> Written:
    sections = evaluation_sections(parts, written.match, figures=figures, main=main, left_out=left_out, unit=unit)
    return Written(
        written.folder, written.split, written.title, written.facts, written.match, written.thresholds, sections
    )


def _content(parts: Parts, metrics: dict[str, Any], written: Written, left_out: dict[str, Any]) -> dict[str, Any]:
    return {
        **parts.as_json(),
        "at_threshold": metrics["at_threshold"],
        "thresholds": {"all": written.thresholds.all, "classes": dict(written.thresholds.classes)},
        "milliseconds": metrics["speed"]["whole"],
        "left_out": left_out,
    }
