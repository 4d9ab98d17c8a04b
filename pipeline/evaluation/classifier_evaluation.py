"""The evaluation of a classifier as data: predictions, suspect labels, and both as rows of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from pipeline.evaluation.label_errors import SuspectLabel
from pipeline.evaluation.report import Cell, Section
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.evaluation.thresholds import Thresholds

Opener = Callable[[int], Image.Image]


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image by its index in a split; `path` is the one in the upload."""

    split: str
    index: int
    path: str


@dataclass(frozen=True, slots=True)
class LabelErrorSearch:
    """`ranked` refers to `images` by index. The higher the `accuracy` of the out-of-fold predictions, the more
    reliable the ranking."""

    images: tuple[ImageReference, ...]
    ranked: tuple[SuspectLabel, ...]
    accuracy: float
    features: str
    openers: Mapping[str, Opener]


@dataclass(frozen=True, slots=True)
class ClassifierEvaluation:
    """`predictions`, `speeds` (ms per image) and `openers` by split; `history`: the rows of results.csv. `thresholds`:
    those that the model has; None: val chooses them. `first`: sections of the report in place of its summary."""

    title: str
    facts: Mapping[str, Cell]
    classes: tuple[str, ...]
    predictions: Mapping[str, SplitPredictions]
    speeds: Mapping[str, Mapping[str, float]]
    openers: Mapping[str, Opener]
    history: Sequence[Mapping[str, float]]
    best_epoch: int | None
    label_errors: LabelErrorSearch | None
    thresholds: Thresholds | None = None
    first: Sequence[Section] = ()


def prediction_rows(evaluation: ClassifierEvaluation) -> tuple[list[str], list[list[Cell]]]:
    """Header, and one row per image of val and test."""
    header = ["path", "split", "ground truth", "predicted", "correct", "confidence", "ground truth probability"]
    rows: list[list[Cell]] = []
    for split, predictions in evaluation.predictions.items():
        for path, label, predicted, probabilities in zip(
            predictions.paths, predictions.labels, predictions.predicted, predictions.probabilities, strict=True
        ):
            rows.append(
                [
                    path,
                    split,
                    predictions.classes[label],
                    predictions.classes[predicted],
                    "yes" if label == predicted else "no",
                    round(float(probabilities[predicted]), 5),
                    round(float(probabilities[label]), 5),
                ]
            )
    return header, rows


def suspect_label_rows(search: LabelErrorSearch, classes: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """Header, and one row per image, most suspect first."""
    header = [
        "rank",
        "path",
        "split",
        "label",
        "suggested",
        "flagged",
        "score",
        "label probability",
        "suggested probability",
    ]
    return header, [
        [
            rank,
            search.images[one.index].path,
            search.images[one.index].split,
            classes[one.label],
            classes[one.suggested],
            "yes" if one.flagged else "no",
            one.score,
            one.label_probability,
            one.suggested_probability,
        ]
        for rank, one in enumerate(search.ranked, 1)
    ]
