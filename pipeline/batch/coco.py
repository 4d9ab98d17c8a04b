"""Detections as COCO: a dataset whose annotations keep their scores, and the list of results that evaluators read."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from pipeline.batch.answered import Answered
from pipeline.dataset.predictions import PredictedBox
from pipeline.predictor.predictor import Prediction

DATASET_FILE, RESULTS_FILE = "coco.json", "coco_results.json"
_PLACES = 3  # of a pixel, as manifests have it


class CocoWriter:
    """Image ids are the numbers of the images in the batch, category ids those of the model's classes from 1 on.

    `file_name` is where the image lies in the labelled ZIP, without one its name in the batch. The images of the
    dataset are those that could be predicted. A box without an area is in no annotation.
    """

    def __init__(self, folder: Path, *, model: str, classes: Sequence[str]) -> None:
        self._folder = folder
        categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
        head = {"info": {"description": f"Predictions of {model}"}, "licenses": [], "categories": categories}
        self._dataset = _List(folder / DATASET_FILE, before=f'{_text(head)[:-1]}, "images": [', after="]")
        # The annotations come after all images: they wait in a file of their own.
        self._annotations = _List(folder / f".{DATASET_FILE}.part", before=', "annotations": [', after="]}")
        self._results = _List(folder / RESULTS_FILE, before="[", after="]")
        self._number = 0
        self._is_closed = False

    def add(self, answered: Answered, file: str | None) -> None:
        result = answered.result
        if not isinstance(result, Prediction):
            return
        name = file or answered.image.name
        size = {"width": result.width, "height": result.height}
        self._dataset.add({"id": answered.number, "file_name": name, **size})
        for box in result.boxes:
            bbox = _bbox(box)
            about = {"image_id": answered.number, "category_id": box.class_index + 1, "bbox": bbox}
            self._results.add({**about, "score": box.score})
            width, height = bbox[2:]
            if width > 0 and height > 0:
                self._number += 1
                area = round(width * height, _PLACES)
                self._annotations.add({"id": self._number, **about, "area": area, "iscrowd": 0, "score": box.score})

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for each in (self._dataset, self._annotations, self._results):
            each.close()
        with self._annotations.path.open("rb") as rest, self._dataset.path.open("ab") as dataset:
            shutil.copyfileobj(rest, dataset)
        self._annotations.path.unlink()


class _List:
    """A JSON list that is written entry by entry, between two pieces of text."""

    def __init__(self, path: Path, *, before: str, after: str) -> None:
        self.path = path
        self._out: TextIO = path.open("w", encoding="utf-8", newline="\n")
        self._after = after
        self._separator = "\n"
        self._out.write(before)

    def add(self, entry: dict[str, Any]) -> None:
        self._out.write(self._separator + _text(entry))
        self._separator = ",\n"

    def close(self) -> None:
        self._out.write(self._after)
        self._out.close()


def _bbox(box: PredictedBox) -> list[float]:
    """Left, top, width, height in pixels of the upright image."""
    x1, y1, x2, y2 = (round(value, _PLACES) for value in (box.x1, box.y1, box.x2, box.y2))
    return [x1, y1, round(x2 - x1, _PLACES), round(y2 - y1, _PLACES)]


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
