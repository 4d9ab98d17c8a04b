"""How the output of an exported model differs from the model's own, for the same input."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.exported_process import ExportedProcess
from pipeline.predictor.metadata import OF_CLASSIFIERS, Output
from pipeline.predictor.postprocess import candidates, probabilities, suppress
from pipeline.predictor.predictor import MAX_BATCH
from pipeline.predictor.validation import LOWEST_SCORE
from pipeline.trainers import Predictor

Array = NDArray[Any]


def difference_of_outputs(
    process: ExportedProcess, model: Predictor, images: Sequence[Path]
) -> dict[str, float | None]:
    """`largest` and `mean`, of probabilities or scores: a box without a score may be anything.

    `batch`: the largest difference between what images are answered together, as many as the predictor takes at once,
    and one by one.
    None stands for no finite number: another shape, or no answer.
    """
    output = Output(**process.about["output"])
    differences, together_or_not = [np.zeros(1)], [np.zeros(1)]
    for batch, largest in _batches(process, images):
        found = _scores(process.raw(batch), output)
        wanted = model.raw(batch)
        kept = output.form == "kept-boxes"
        wanted = _kept_scores(wanted, output, len(found[0])) if kept else _scores(wanted, output)
        alone = np.concatenate([_scores(process.raw(each[None]), output) for each in batch])
        differences.append(_difference(wanted, found))
        together_or_not.append(_difference(alone, found))
        if largest and len(alone) == len(batch):
            places = np.arange(MAX_BATCH) % len(batch)
            together_or_not.append(_difference(alone[places], _scores(process.raw(batch[places]), output)))
    every = np.concatenate(differences)
    return {
        "largest": _finite(every.max()),
        "mean": _finite(every.mean()),
        "batch": _finite(np.concatenate(together_or_not).max()),
    }


def _batches(process: ExportedProcess, images: Sequence[Path]) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Inputs of one size together, each with its mirror image: a model may lose what follows the first. And whether it
    is the largest of the batches."""
    inputs: dict[tuple[int, ...], list[Array]] = {}
    for image in images:
        values = process.input_of(image)
        if values is not None:
            inputs.setdefault(values.shape, []).append(values)
    groups = sorted(inputs.values(), key=len, reverse=True)
    for place, group in enumerate(groups):
        yield np.stack([*group, *(values[..., ::-1] for values in group)]), place == 0


def _scores(raw: Array | None, output: Output) -> Array:
    """(B, ...); (1, 0) for no answer."""
    if raw is None or raw.ndim != (2 if output.form in OF_CLASSIFIERS else 3):
        return np.zeros((1, 0))
    match output.form:
        case "logits" | "probabilities":
            return probabilities(raw, output.form) if np.isfinite(raw).all() else raw
        case "anchors":
            return raw[:, 4:]
        case "queries":
            return raw[:, :, 4:]
        case _:
            return raw[:, :, 4]


def _kept_scores(raw: Array, output: Output, count: int) -> Array:
    """(B, 4 + classes, N) -> (B, count): the scores of the boxes that suppression leaves, then zeros."""
    scores = np.zeros((len(raw), count))
    for row, image in zip(scores, raw, strict=True):
        kept = suppress(candidates(image.T, LOWEST_SCORE), iou=output.iou, at_most=output.max_boxes)[:count, 4]
        row[: len(kept)] = kept
    return scores


def _difference(wanted: Array, found: Array) -> Array:
    if wanted.shape != found.shape or not found.size:
        return np.array([np.inf])
    difference: Array = np.nan_to_num(np.abs(found - wanted), nan=np.inf).ravel()
    return difference


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
