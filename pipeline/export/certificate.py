"""The certificate of an export: what it answers, measured beside the model that it was made of.

The exported file runs in a clean process, by the predictor that serves it. Both get the same files of images, in turns,
so that neither computes while the other is timed. What is compared is the whole path: decoding, orientation, colours,
resize, values, the model, suppression. For a few images the model's own output is compared too, on the same input.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.evaluation.detection_metrics import ImageBoxes, mean_precision
from pipeline.export.bounds import BOUNDS, Bounds
from pipeline.export.catalogue import Precision
from pipeline.export.comparison import (
    Agreement,
    agreement_of_boxes,
    agreement_of_labels,
    change_of_accuracy,
    change_of_precision,
)
from pipeline.export.held_out import HeldOutImage
from pipeline.trainers import Predictor

LOWEST_SCORE = 0.001  # of those that mAP takes, as ultralytics
RAW_IMAGES = 4
CERTIFICATE_FILE = "certificate.json"
PROCESS = (sys.executable, "-m", "pipeline.predictor.process")


class PredictorDied(RuntimeError):
    """The process of the exported file ended."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of one side, for each image: boxes from LOWEST_SCORE up or labels, and the milliseconds that it took."""

    predictions: list[tuple[PredictedBox, ...] | tuple[PredictedLabel, ...]]
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
    process: Sequence[str] = PROCESS,
) -> dict[str, Any]:
    """The certificate, as JSON values: `passed`, and every reason where it is false.

    `model`: the one that the file was made of, loaded. `scratch`: an empty folder. `process`: the command
    that runs the export. Raises PredictorDied.
    """
    bounds = BOUNDS[precision]
    with _running([*process, str(export), "--threads", str(threads)]) as running:
        about = running.about
        difference = _raw_difference(running, model, images[:RAW_IMAGES], scratch)
        wanted, found, failed = _in_turns(running, model, images, kind)
    agreement = _agreement(wanted, found, model.thresholds, bounds, kind)
    figures = _figures(images, wanted, found, len(model.classes), kind)
    content = {
        "schema": 1,
        "export": export.name,
        "precision": precision,
        "images": len(images),
        "failed": failed,
        "outputs": difference,
        "predictions": {**asdict(agreement), "share": round(agreement.share, 5)},
        "figures": figures,
        "milliseconds": {"model": _times(wanted.milliseconds), "export": _times(found.milliseconds)},
        "bounds": asdict(bounds),
        "engine": about["engine"],
        "computed_in": about["precision"],
        "threads": threads,
        "device": platform.processor() or platform.machine(),
    }
    reasons = _reasons(content, bounds, about)
    if not np.allclose(about["thresholds"], model.thresholds):
        reasons.append("The thresholds of the export are not those of the model.")
    return {"passed": not reasons, "reasons": reasons, **content}


class _Process:
    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self.about = self._read()

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._child.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._child.stdout is not None  # noqa: S101 - as above
        line = self._child.stdout.readline()
        if not line:
            raise PredictorDied(f"The export cannot be run: its process ended with {self._child.wait()}.")
        return cast(dict[str, Any], json.loads(line))


@contextmanager
def _running(command: Sequence[str]) -> Iterator[_Process]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield _Process(child)
        finally:
            child.kill()


def _raw_difference(
    process: _Process, model: Predictor, images: Sequence[HeldOutImage], scratch: Path
) -> dict[str, float | None]:
    """Of the outputs for the same input. Batches of one and of all: a model may lose images beyond its first."""
    largest, total, count = 0.0, 0.0, 0
    inputs: dict[tuple[int, ...], list[Any]] = {}
    for index, image in enumerate(images):
        answer = process.ask(input=str(image.file), to=str(scratch / f"{index}.npy"))
        if "values" in answer:
            values = np.load(answer["values"])
            inputs.setdefault(values.shape, []).append(values)
    for group in inputs.values():
        for batch in {1, len(group)}:
            file = scratch / "batch.npy"
            np.save(file, np.stack(group[:batch]))
            answer = process.ask(raw=str(file))
            wanted = model.raw(np.stack(group[:batch]))
            found = np.load(answer["output"]) if "output" in answer else np.full_like(wanted, np.nan)
            difference = np.abs(_scores(found) - _scores(wanted)) if found.shape == wanted.shape else np.array([np.inf])
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
            total, count = total + float(difference.sum()), count + difference.size
    return {"largest": _finite(largest), "mean": _finite(total / max(count, 1))}


def _scores(output: Any) -> Any:
    """What is compared: probabilities of classes. Of a detector only the scores: boxes without one may be anything."""
    if output.ndim == 2:
        powers = np.exp(output - output.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    return output[:, 4:] if output.shape[1] < output.shape[2] else output[:, :, 4:]


def _in_turns(
    process: _Process, model: Predictor, images: Sequence[HeldOutImage], kind: str
) -> tuple[_Answers, _Answers, int]:
    wanted, found = _Answers([], []), _Answers([], [])
    low = LOWEST_SCORE if kind == "detection" else 0.0
    failed = 0
    process.ask(image=str(images[0].file))  # both are warm when the clock starts
    model.predict(images[0].file)
    for image in images:
        started = perf_counter()
        wanted.predictions.append(tuple(model.predict(image.file, min_score=low)))  # type: ignore[arg-type]
        wanted.milliseconds.append(1e3 * (perf_counter() - started))
        started = perf_counter()
        answer = process.ask(image=str(image.file), min_score=low)
        found.milliseconds.append(1e3 * (perf_counter() - started))
        failed += "error" in answer
        found.predictions.append(_parsed(answer, kind))
    return wanted, found, failed


def _parsed(answer: Mapping[str, Any], kind: str) -> tuple[PredictedBox, ...] | tuple[PredictedLabel, ...]:
    if kind == "detection":
        return tuple(PredictedBox(**box) for box in answer.get("boxes", ()))
    return tuple(PredictedLabel(**label) for label in answer.get("labels", ()))


def _agreement(wanted: _Answers, found: _Answers, thresholds: Sequence[float], bounds: Bounds, kind: str) -> Agreement:
    """Of the predictions that are listed by default: the boxes above the thresholds, and the most probable classes."""
    compared = equal = 0
    for ours, theirs in zip(wanted.predictions, found.predictions, strict=True):
        if kind == "detection":
            boxes = [[box for box in each if box.score > thresholds[box.class_index]] for each in (ours, theirs)]
            one = agreement_of_boxes(boxes[0], boxes[1], bounds, thresholds=thresholds)  # type: ignore[arg-type]
        else:
            one = agreement_of_labels(ours, theirs, bounds) if theirs else Agreement(1, 0)  # type: ignore[arg-type]
        compared, equal = compared + one.compared, equal + one.equal
    return Agreement(compared, equal)


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


def _reasons(content: Mapping[str, Any], bounds: Bounds, about: Mapping[str, Any]) -> list[str]:
    reasons = []
    if about["frameworks"]:
        reasons.append(f"The process of the export had imported {', '.join(about['frameworks'])}.")
    if content["failed"]:
        reasons.append(f"{content['failed']} of {content['images']} images could not be predicted.")
    if content["outputs"]["largest"] is None or content["outputs"]["largest"] > bounds.output:
        reasons.append(
            f"Outputs for the same input differ by {content['outputs']['largest']}; allowed is {bounds.output}."
        )
    share = content["predictions"]["share"]
    if share < bounds.equal:
        reasons.append(f"{share:.1%} of the predictions are equal; at least {bounds.equal:.1%} must be.")
    figures = content["figures"]
    if -figures["change"] > bounds.drop:
        reasons.append(f"{figures['name']} falls by {-figures['change']:.4f}; allowed is {bounds.drop}.")
    return reasons


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
