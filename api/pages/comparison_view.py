"""What a comparison of two versions says, in words and on a common scale."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from api.pages.filters import direction
from api.schemas.comparisons import ComparedImage, Comparison, PairedFigure
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage

Word = Literal["better", "worse", "unclear", "same"]

_BEST = {"mAP50": "every box found before a false one", "accuracy": "every image right"}
_NAMES = {"f1": "F1", "precision": "precision", "recall": "recall", "accuracy": "accuracy"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the second version, beside the first one. `text`: a sentence or two."""

    word: Word
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Whisker:
    """Places in percent of the width, 50 being no change; without an interval `low` and `high` are None."""

    dot: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PairView:
    """An image that one of both answers better. `data`: for the view of it alone. `sha256`: empty where the image index
    lacks it."""

    image: ComparedImage
    sha256: str
    width: int
    height: int
    data: dict[str, Any]


def word_of(figure: PairedFigure) -> Word:
    """Whether the interval of the change is on one side of zero."""
    if figure.interval is None:
        return "unclear" if figure.change else "same"
    low, high = figure.interval
    return "better" if low > 0 else "worse" if high < 0 else "unclear"


def verdict_of(found: Comparison) -> Verdict | None:
    """By the main figure: which is better, by how much, and whether that is certain, in one sentence; then the rest.

    None where they are not compared image by image.
    """
    paired = found.paired
    if paired is None or not paired.figures:
        return None
    figure = paired.figures[0]
    first, second = (side.version.rpartition("/")[2] for side in (found.first, found.second))
    name = _NAMES.get(figure.metric, figure.metric)
    word = word_of(figure)
    images = f"{paired.images:,} image{'' if paired.images == 1 else 's'}"
    best = _BEST.get(figure.metric, "the most")
    figures = f"On {images} {name} goes from {figure.first:.3f} to {figure.second:.3f}; 1 is {best}"
    if figure.interval is None:
        why = "fewer than five images" if paired.images < 5 else "no resample of the images differs"
        if word == "same" and figure.second == 0:
            more = "Train for more epochs, or start from pretrained weights"
            return Verdict(word, f"Both score 0: neither {first} nor {second} has learned yet", f"{figures}. {more}.")
        if word == "same":
            return Verdict(word, f"{second} answers as {first} does", f"{figures}. There is no interval: {why}.")
        title = f"Whether {second} is better than {first} cannot be said"
        return Verdict(word, title, f"{figures}. There is no interval: {why}.")
    low, high = figure.interval
    by = f"{name} is {abs(figure.change):.3f} {'lower' if figure.change < 0 else 'higher'}"
    if word == "unclear":
        claim = f"{second} is not certainly {'worse' if figure.change < 0 else 'better'} than {first}"
        if direction(figure.change) == "same":
            claim, by = f"Neither {first} nor {second} is certainly better", f"{name} differs by less than 0.001"
        title = f"{claim}: {by} ({low:+.3f} to {high:+.3f} with a confidence of 95 %)"
        return Verdict(word, title, f"It may be chance; more images narrow this. {figures}.")
    least, most = sorted((abs(low), abs(high)))
    title = f"{second} is {word} than {first}: {by} ({least:.3f} to {most:.3f} with a confidence of 95 %)"
    return Verdict(word, title, f"{figures}.")


def largest_change(figures: Iterable[PairedFigure]) -> float:
    """Of all changes and bounds, rounded up: what half the width of their common scale stands for."""
    values = [abs(value) for each in figures for value in (each.change, *(each.interval or ()))]
    most = max(values, default=0.0)
    return next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if most <= step or step == 1.0)


def whisker_of(figure: PairedFigure, half: float) -> Whisker:
    def place(value: float) -> float:
        return round(50 + 48 * max(-1.0, min(1.0, value / half)), 2)

    low, high = figure.interval or (None, None)
    return Whisker(place(figure.change), None if low is None else place(low), None if high is None else place(high))


def pair_views(
    images: Sequence[ComparedImage], indexed: dict[str, IndexedImage], classes: Sequence[str]
) -> list[PairView]:
    return [_pair(image, indexed.get(image.path), classes) for image in images]


def _pair(image: ComparedImage, found: IndexedImage | None, classes: Sequence[str]) -> PairView:
    sides = {
        name: {
            "boxes": [box.model_dump(by_alias=True) for box in side.boxes or []],
            "caption": caption_of(side.model_dump()),
        }
        for name, side in (("first", image.first), ("second", image.second))
    }
    truth = [_truth(box, classes) for box in found.boxes] if found else []
    width, height = (found.width, found.height) if found else (4, 3)
    data = {**sides, "truth": truth, "path": image.path, "outcome": image.outcome, "label": image.label}
    return PairView(image, found.sha256 if found else "", width, height, data)


def caption_of(side: dict[str, Any]) -> str:
    """`2 found, 1 missed, F1 0.80`, or the class of a classifier."""
    if side["predicted"] is not None:
        return f"{side['predicted']} {side['score']:.2f}"
    counts = [f"{side[name]} {name}" for name in ("found", "missed", "false") if side[name]]
    return f"{', '.join(counts) or 'nothing, rightly'} · F1 {side['f1']:.2f}"


def _truth(box: Box, classes: Sequence[str]) -> dict[str, Any]:
    x, y, right, bottom = (value / 1000 for value in (box.x1, box.y1, box.x2, box.y2))
    return {"class": classes[box.class_id], "x": x, "y": y, "width": right - x, "height": bottom - y}
