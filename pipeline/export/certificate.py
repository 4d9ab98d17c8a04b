"""The certificate of an export: what it answers, measured beside the model that it was made of.

The exported file runs in a clean process, by the predictor that serves it. Both get the same files of images, in turns,
so that neither computes while the other is timed. What is compared is the whole path: decoding, orientation, colours,
resize, values, the model, suppression. For a few images the model's own output is compared too, on the same input.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from pipeline.archive.plural import counted
from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.evaluation.detection_metrics import ImageBoxes, mean_precision
from pipeline.export.bounds import BOUNDS, Bounds
from pipeline.export.catalogue import PREDICTOR_PROCESS, Precision
from pipeline.export.comparison import (
    Agreement,
    agreement_of_boxes,
    agreement_of_labels,
    change_of_accuracy,
    change_of_precision,
    count_equal,
)
from pipeline.export.cropped_images import crop_images
from pipeline.export.exported_process import ExportedProcess, running
from pipeline.export.held_out import HeldOutImage
from pipeline.export.outputs import difference_of_outputs
from pipeline.predictor.validation import LOWEST_SCORE
from pipeline.trainers import Predictor

RAW_IMAGES = 4
CROPPED_TIMES = 5  # 0.017 was measured of a sure ViT, with equal outputs for the same input
EQUAL_OF_CROPS = 0.9  # at least: they are few, and a model that is wrong at their sides is wrong in many
SAME_OUTPUT = 1e-5  # of outputs: the sixth digit of single precision; 9e-8 was measured of a yolov8n
BEST_BOXES = 10  # of an image, where no box of the model is above its threshold
OnImage = Callable[[int, int], None]  # done, all


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of one side, for each image: boxes from LOWEST_SCORE up or labels, and the milliseconds that it took."""

    predictions: list[tuple[PredictedBox | PredictedLabel, ...]]
    milliseconds: list[float]


def certify(
    export: Path,
    model: Predictor,
    images: Sequence[HeldOutImage],
    *,
    kind: str,
    precision: Precision,
    threads: int,
    scratch: Path,
    max_drop: float | None = None,
    without_truth: bool = False,
    frameworks: Sequence[str] = (),
    process: Sequence[str] = PREDICTOR_PROCESS,
    on_image: OnImage | None = None,
) -> dict[str, Any]:
    """The certificate, as JSON values: `passed`, and every reason where it is false.

    `model`: the one that the file was made of, loaded. `scratch`: an empty folder. `max_drop`: instead of the bound of
    the precision. `without_truth`: what is in the images is not known, and `figures` is null. `process`: the command
    that runs the export; `frameworks`: those that it may import. Raises PredictorDied.
    """
    bounds = BOUNDS[precision] if max_drop is None else replace(BOUNDS[precision], drop=max_drop)
    with running([*process, str(export), "--threads", str(threads)], scratch) as exported:
        found = compared(
            exported,
            model,
            images,
            kind=kind,
            bounds=bounds,
            without_truth=without_truth,
            frameworks=frameworks,
            on_image=on_image,
        )
    return {**found, "schema": 1, "export": export.name, "precision": precision, "threads": threads}


def compared(
    exported: ExportedProcess,
    model: Predictor,
    images: Sequence[HeldOutImage],
    *,
    kind: str,
    bounds: Bounds,
    without_truth: bool = False,
    frameworks: Sequence[str] = (),
    on_image: OnImage | None = None,
) -> dict[str, Any]:
    """What a certificate says of an export that is running; see `certify`."""
    difference = difference_of_outputs(exported, model, [image.file for image in images[:RAW_IMAGES]])
    wanted, found, failed = _in_turns(exported, model, images, kind, on_image)
    agreement = _agreement(wanted, found, model.thresholds, bounds, kind)
    cropped = _agreement_of_crops(exported, model, images, bounds, kind)
    content = {
        "images": len(images),
        "failed": failed,
        "outputs": difference,
        "predictions": {**asdict(agreement), "share": round(agreement.share, 5)},
        "cropped": {**asdict(cropped), "share": round(cropped.share, 5)},
        "figures": None if without_truth else _figures(images, wanted, found, len(model.classes), kind),
        "milliseconds": {"model": _times(wanted.milliseconds), "export": _times(found.milliseconds)},
        "bounds": asdict(bounds),
        "thresholds": dict(zip(model.classes, model.thresholds, strict=True)),
        "engine": exported.about["engine"],
        "computed_in": exported.about["precision"],
        "device": _device(),
    }
    imported = [name for name in exported.about["frameworks"] if name not in frameworks]
    reasons = _reasons(content, bounds, imported)
    if tuple(exported.about["classes"]) != tuple(model.classes):
        reasons.append("The classes of the export are not those of the model.")
    elif not np.allclose(exported.about["thresholds"], model.thresholds):
        reasons.append("The thresholds of the export are not those of the model.")
    return {"passed": not reasons, "reasons": reasons, **content}


def _in_turns(
    exported: ExportedProcess, model: Predictor, images: Sequence[HeldOutImage], kind: str, on_image: OnImage | None
) -> tuple[_Answers, _Answers, int]:
    wanted, found = _Answers([], []), _Answers([], [])
    low = LOWEST_SCORE if kind == "detection" else 0.0
    failed = 0
    exported.predict(images[0].file)  # both are warm when the clock starts
    model.predict(images[0].file)
    for done, image in enumerate(images, 1):
        started = perf_counter()
        wanted.predictions.append((*model.predict(image.file, min_score=low),))
        wanted.milliseconds.append(1e3 * (perf_counter() - started))
        started = perf_counter()
        answer = exported.predict(image.file, min_score=low)
        found.milliseconds.append(1e3 * (perf_counter() - started))
        failed += "error" in answer
        found.predictions.append(_parsed(answer, kind))
        if on_image:
            on_image(done, len(images))
    return wanted, found, failed


def _parsed(answer: Mapping[str, Any], kind: str) -> tuple[PredictedBox | PredictedLabel, ...]:
    if kind == "detection":
        return tuple(PredictedBox(**box) for box in answer.get("boxes", ()))
    return tuple(PredictedLabel(**label) for label in answer.get("labels", ()))


def _agreement(wanted: _Answers, found: _Answers, thresholds: Sequence[float], bounds: Bounds, kind: str) -> Agreement:
    """Of the predictions that are listed by default: the boxes above the thresholds, and the most probable classes.

    Where the model has no box above them, of its best boxes."""
    compared = equal = ties = 0
    for ours, theirs in zip(wanted.predictions, found.predictions, strict=True):
        if kind == "detection":
            above = [
                [box for box in _boxes(each) if box.score > thresholds[box.class_index]] for each in (ours, theirs)
            ]
            one = agreement_of_boxes(above[0], above[1], bounds, thresholds=thresholds)
        else:
            one = agreement_of_labels(_labels(ours), _labels(theirs), bounds) if theirs else Agreement(1, 0)
        compared, equal, ties = compared + one.compared, equal + one.equal, ties + one.ties
    if kind == "detection" and not compared:
        return _agreement_of_best(wanted, found, bounds)
    return Agreement(compared, equal, ties)


def _agreement_of_best(wanted: _Answers, found: _Answers, bounds: Bounds) -> Agreement:
    """Of at most BEST_BOXES of the model in each image, however low their scores are.

    One that is missing counts only where its score is so far above the lowest that is listed that chance does not
    decide, as with thresholds: of a model that has learnt next to nothing, scores differ in their last digits alone.
    """
    compared = equal = 0
    for ours, theirs in zip(wanted.predictions, found.predictions, strict=True):
        best = sorted(_boxes(ours), key=lambda box: -box.score)[:BEST_BOXES]
        matched = count_equal(best, _boxes(theirs), bounds)
        certain = count_equal([box for box in best if box.score > LOWEST_SCORE + bounds.score], _boxes(theirs), bounds)
        missing = sum(box.score > LOWEST_SCORE + bounds.score for box in best) - certain
        equal += matched
        compared += matched + missing
    return Agreement(compared, equal)


def _boxes(predictions: Sequence[PredictedBox | PredictedLabel]) -> list[PredictedBox]:
    return [each for each in predictions if isinstance(each, PredictedBox)]


def _labels(predictions: Sequence[PredictedBox | PredictedLabel]) -> list[PredictedLabel]:
    return [each for each in predictions if isinstance(each, PredictedLabel)]


def _agreement_of_crops(
    exported: ExportedProcess, model: Predictor, images: Sequence[HeldOutImage], bounds: Bounds, kind: str
) -> Agreement:
    """Of parts of the first images: all those of a dataset may have the same sides.

    They are no images of the dataset, the model is unsure of them, and a resize that reduces one side and enlarges the
    other is rounded otherwise by each library: so probabilities and scores may differ by more.
    """
    with TemporaryDirectory() as folder:
        cropped = crop_images(images[:RAW_IMAGES], Path(folder))
        if not cropped:
            return Agreement(0, 0)
        wanted, found, _ = _in_turns(exported, model, cropped, kind, None)
    wider = replace(bounds, score=CROPPED_TIMES * bounds.score, tie=CROPPED_TIMES * bounds.tie)
    return _agreement(wanted, found, model.thresholds, wider, kind)


def _figures(
    images: Sequence[HeldOutImage], wanted: _Answers, found: _Answers, classes: int, kind: str
) -> dict[str, Any]:
    if kind == "detection":
        before, after = (
            [ImageBoxes(image.boxes, _rows(boxes)) for image, boxes in zip(images, side.predictions, strict=True)]
            for side in (wanted, found)
        )
        values = mean_precision(before, classes), mean_precision(after, classes)
        name, change = "mAP50-95", change_of_precision(before, after, classes)
    else:
        right = [
            np.array(
                [
                    bool(each) and each[0].class_index == image.label
                    for image, each in zip(images, side.predictions, strict=True)
                    if image.label is not None
                ]
            )
            for side in (wanted, found)
        ]
        values = float(right[0].mean()), float(right[1].mean())
        name, change = "accuracy", change_of_accuracy(right[0], right[1])
    named = dict(zip(("change", "low", "high"), (round(value, 5) for value in change), strict=True))
    return {"name": name, "model": round(values[0], 5), "export": round(values[1], 5), **named}


def _rows(boxes: Sequence[Any]) -> Any:
    rows = [[box.x1, box.y1, box.x2, box.y2, box.score, box.class_index] for box in boxes]
    return np.array(rows, float).reshape(-1, 6)


def _times(milliseconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.quantile(milliseconds, (0.5, 0.95))
    rate = 1e3 * len(milliseconds) / sum(milliseconds)
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "images_per_second": round(rate, 2)}


def _reasons(content: Mapping[str, Any], bounds: Bounds, frameworks: Sequence[str]) -> list[str]:
    """Every bound that is exceeded.

    The fall of the metric is none of them where the export `_answers_the_same`. The metric ranks all boxes from
    LOWEST_SCORE up. A weak model has hundreds of them with nearly the same score, and the last digit decides which of
    them comes first: the order changes, and the metric by more than the bound, while no answer does.
    """
    reasons = []
    if frameworks:
        reasons.append(f"The process of the export had imported {', '.join(frameworks)}.")
    if content["failed"]:
        reasons.append(f"{content['failed']} of {content['images']} images could not be predicted.")
    largest, batch = content["outputs"]["largest"], content["outputs"]["batch"]
    if largest is None or largest > bounds.output:
        reasons.append(f"Outputs for the same input differ by {largest}; allowed is {bounds.output}.")
    if batch is None or batch > bounds.batch:
        reasons.append(f"Images in a batch are answered otherwise than alone, by {batch}; allowed is {bounds.batch}.")
    share = content["predictions"]["share"]
    if not content["predictions"]["compared"]:
        reasons.append(
            f"The model finds no box in {counted(content['images'], 'image')}, of any score: the boxes of the export "
            "cannot be compared. Take images in which it finds some."
        )
    elif share < bounds.equal:
        reasons.append(f"{share:.1%} of the predictions are equal; at least {bounds.equal:.1%} must be.")
    cropped = content["cropped"]["share"]
    if cropped < min(bounds.equal, EQUAL_OF_CROPS):
        reasons.append(f"{cropped:.1%} of the predictions for upright and wide parts of the images are equal.")
    figures = content["figures"]
    allowed = bounds.drop + content["predictions"]["ties"] / content["images"]
    if figures and -figures["change"] > allowed and not _answers_the_same(content):
        reasons.append(f"{figures['name']} falls by {-figures['change']:.4f}; allowed is {allowed:g}.")
    return reasons


def _answers_the_same(content: Mapping[str, Any]) -> bool:
    """Outputs within SAME_OUTPUT, alone and in a batch, and all predictions equal, of the images and of their parts."""
    outputs = (content["outputs"]["largest"], content["outputs"]["batch"])
    compared = (content["predictions"], content["cropped"])
    return (
        all(each is not None and each <= SAME_OUTPUT for each in outputs)
        and content["predictions"]["compared"] > 0
        and all(each["equal"] == each["compared"] and not each["ties"] for each in compared)
    )


def _device() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
