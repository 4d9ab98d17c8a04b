"""The images of a classifier's evaluation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.evaluation.evaluated import Judged
from pipeline.plots.confusion import draw_confusion
from pipeline.plots.reliability import draw_reliability
from pipeline.plots.tiles import Tile, draw_tiles

if TYPE_CHECKING:
    from pipeline.evaluation.outcome import Suspected

TILES = 24  # four rows of six


def draw_judged(
    judged: Judged, metrics: Mapping[str, Any], open_image: Callable[[int], Image.Image], folder: Path, *, split: str
) -> None:
    """`{split}_confusion_matrix.png`, `..._normalized.png`, `{split}_reliability.png`, `{split}_worst.png`."""
    confusion = metrics["confusion_matrix"]
    for normalized, name in ((False, "confusion_matrix"), (True, "confusion_matrix_normalized")):
        draw_confusion(confusion, folder / f"{split}_{name}.png", split=split, normalized=normalized, unit="images")
    draw_reliability(metrics["calibration"], folder / f"{split}_reliability.png", split=split)
    draw_tiles([_tile(judged, index, open_image) for index in worst(judged)], folder / f"{split}_worst.png")


def worst(judged: Judged) -> list[int]:
    """The images whose label got the least probability, worst first."""
    own = judged.probabilities[np.arange(len(judged.labels)), judged.labels]
    return [int(index) for index in np.argsort(own, kind="stable")[:TILES]]


def draw_suspects(suspected: "Suspected", classes: Sequence[str], path: Path) -> None:
    """The first of the list: label above, suggestion below."""
    tiles = []
    for one in suspected.ranked[:TILES]:
        place = suspected.labelled[one.index]
        image = suspected.openers[place.split](place.index)
        tiles.append(
            Tile(
                image,
                f"label {classes[one.label]} ({one.label_probability:.2f})",
                f"rather {classes[one.suggested]} ({one.suggested_probability:.2f})",
                second_right=False if one.flagged else None,
            )
        )
    draw_tiles(tiles, path)


def _tile(judged: Judged, index: int, open_image: Callable[[int], Image.Image]) -> Tile:
    label, found = int(judged.labels[index]), int(judged.predicted[index])
    scores = judged.probabilities[index]
    return Tile(
        open_image(index),
        f"label {judged.classes[label]} ({scores[label]:.2f})",
        f"found {judged.classes[found]} ({scores[found]:.2f})",
        second_right=label == found,
    )
