"""The parts of a split that figures are given for: all of it, and without the images that the model has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.plural import counted
from pipeline.model_evaluation.seen_images import SeenImage

MIN_IMAGES = 10  # below, one image moves accuracy by more than a tenth
LISTED = 20  # seen images in the answer; all are in seen_images.csv

Chosen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """`figures` is None where `note` says why."""

    figures: dict[str, Any] | None
    note: str


@dataclass(frozen=True, slots=True)
class Parts:
    """`unseen`: without the images of train. `untouched`: also without those of val. `seen`: None where no image index
    was at hand; `is_complete`: whether all datasets that the model was trained on were compared."""

    whole: dict[str, Any]
    unseen: Part
    untouched: Part
    seen: Sequence[SeenImage] | None
    is_complete: bool

    def as_json(self) -> dict[str, Any]:
        """The figures of the whole at the top; see `pipeline.process.results.Evaluated`."""
        return {
            **self.whole,
            "seen": {
                "known": self.seen is not None and self.is_complete,
                **_counts(self.seen, "train"),
                "val": _counts(self.seen, "val"),
                "listed": [_as_json(seen) for seen in (self.seen or ())[:LISTED]],
            },
            "unseen": self.unseen.figures,
            "unseen_note": self.unseen.note,
            "untouched": self.untouched.figures,
            "untouched_note": self.untouched.note,
        }


def parts_of(
    paths: Sequence[str],
    seen: Sequence[SeenImage] | None,
    figures: Callable[[Chosen], dict[str, Any]],
    *,
    is_complete: bool,
) -> Parts:
    """`paths`: of the images that are measured, in their order. `figures`: of those that are chosen (images,)."""
    every = np.ones(len(paths), bool)
    whole = figures(every)
    if seen is None:
        unknown = Part(None, "It is not known which images the model was trained on.")
        return Parts(whole, unknown, unknown, None, is_complete)
    part_of = {each.path: each.part for each in seen}
    parts = [part_of.get(path) for path in paths]
    not_train = np.array([part != "train" for part in parts])
    neither = np.array([part is None for part in parts])
    unseen = _part(not_train, whole, figures, "was trained on", is_complete=is_complete)
    untouched = (
        unseen
        if (neither == not_train).all()
        else _part(neither, whole, figures, "was trained or validated on", is_complete=is_complete)
    )
    return Parts(whole, unseen, untouched, seen, is_complete)


def _part(
    chosen: Chosen,
    whole: dict[str, Any],
    figures: Callable[[Chosen], dict[str, Any]],
    how: str,
    *,
    is_complete: bool,
) -> Part:
    left = int(chosen.sum())
    if left == len(chosen):
        known = "The model" if is_complete else "As far as its datasets are known, the model"
        return Part(whole, f"{known} {how} none of the images.")
    if left < MIN_IMAGES:
        text = (
            f"Without the {counted(len(chosen) - left, 'image')} that the model {how}, {counted(left, 'image')} would"
        )
        return Part(None, f"{text} be left: at least {MIN_IMAGES} are needed for a figure.")
    return Part(figures(chosen), f"Without {counted(len(chosen) - left, 'image')} that the model {how}.")


def _counts(seen: Sequence[SeenImage] | None, part: str) -> dict[str, int | None]:
    if seen is None:
        return {"images": None, "same": None, "near": None}
    mine = [each for each in seen if each.part == part]
    same = sum(each.bits is None for each in mine)
    return {"images": len(mine), "same": same, "near": len(mine) - same}


def _as_json(seen: SeenImage) -> dict[str, Any]:
    return {"path": seen.path, "part": seen.part, "like": seen.like, "dataset": seen.dataset, "bits": seen.bits}
