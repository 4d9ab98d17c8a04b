"""What a classifier's run has found: predictions, suspect labels, and the rows in which people read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from pipeline.evaluation.evaluated import Judged
from pipeline.evaluation.label_errors import Suspect
from pipeline.evaluation.report import Cell

Opener = Callable[[int], Image.Image]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Where an image is: the n-th of its split, and its path in the upload."""

    split: str
    index: int
    path: str


@dataclass(frozen=True, slots=True)
class Suspected:
    """`ranked` refers to `labelled` by index. `accuracy` of the probabilities says how far to trust the list."""

    labelled: tuple[Labelled, ...]
    ranked: tuple[Suspect, ...]
    accuracy: float
    features: str
    openers: Mapping[str, Opener]


@dataclass(frozen=True, slots=True)
class ClassifierEvaluation:
    """`judged`, `speeds` (ms per image) and `openers` by split; `history` has a row for each epoch, as results.csv."""

    title: str
    facts: Mapping[str, Cell]
    classes: tuple[str, ...]
    judged: Mapping[str, Judged]
    speeds: Mapping[str, Mapping[str, float]]
    openers: Mapping[str, Opener]
    history: Sequence[Mapping[str, float]]
    best_epoch: int | None
    suspects: Suspected | None


def prediction_rows(outcome: ClassifierEvaluation) -> tuple[list[str], list[list[Cell]]]:
    """Header and a row for each image of val and test: path, split, label, what was found and how probable."""
    rows: list[list[Cell]] = []
    for split, judged in outcome.judged.items():
        for path, label, found, scores in zip(
            judged.paths, judged.labels, judged.predicted, judged.probabilities, strict=True
        ):
            right = "yes" if label == found else "no"
            score, own = round(float(scores[found]), 5), round(float(scores[label]), 5)
            rows.append([path, split, judged.classes[label], judged.classes[found], right, score, own])
    return ["path", "split", "label", "found", "right", "score", "score of label"], rows


def suspect_rows(suspected: Suspected, classes: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
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
            suspected.labelled[one.index].path,
            suspected.labelled[one.index].split,
            classes[one.label],
            classes[one.suggested],
            "yes" if one.flagged else "no",
            one.score,
            one.label_probability,
            one.suggested_probability,
        ]
        for rank, one in enumerate(suspected.ranked, 1)
    ]
