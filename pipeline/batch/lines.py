"""Predictions as JSON Lines and as a table: written image by image."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.domain.spreadsheet import as_text_cell
from pipeline.batch.answered import Answered
from pipeline.predictor.predictor import Prediction

LINES_FILE, TABLE_FILE = "predictions.jsonl", "predictions.csv"
COLUMNS = ("image", "width", "height", "label", "score", "x1", "y1", "x2", "y2", "file", "split", "url", "error")
_PLACES = 3  # of milliseconds
# JSON allows them in a text, and many readers end a line at them.
_NO_BREAKS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}


class LinesWriter:
    """One JSON object a line for each image: the fields of an answer of /predict, and where the image came from."""

    def __init__(self, folder: Path) -> None:
        self._out = (folder / LINES_FILE).open("w", encoding="utf-8", newline="\n")

    def add(self, answered: Answered, file: str | None) -> None:
        line = json.dumps(_as_json(answered, file), ensure_ascii=False, allow_nan=False)
        self._out.write(line.translate(_NO_BREAKS) + "\n")

    def close(self) -> None:
        self._out.close()


class TableWriter:
    """One row for each box or label, best first, and one for an image without any."""

    def __init__(self, folder: Path) -> None:
        self._out = (folder / TABLE_FILE).open("w", encoding="utf-8", newline="")
        self._rows = csv.DictWriter(self._out, COLUMNS)
        self._rows.writeheader()

    def add(self, answered: Answered, file: str | None) -> None:
        about = {"image": answered.image.name, "file": file or "", "split": answered.image.split}
        for row in _rows(answered):
            texts = {**about, "url": answered.image.url, **row}
            self._rows.writerow(
                {name: as_text_cell(value) if isinstance(value, str) else value for name, value in texts.items()}
            )

    def close(self) -> None:
        self._out.close()


def _as_json(answered: Answered, file: str | None) -> dict[str, Any]:
    image, result = answered.image, answered.result
    about: dict[str, Any] = {"number": answered.number, "image": image.name}
    about |= {name: value for name, value in (("split", image.split), ("url", image.url)) if value}
    if not isinstance(result, Prediction):
        return about | {"error": result.reason}
    milliseconds = {name: round(value, _PLACES) for name, value in result.milliseconds.items()}
    return about | {"file": file, "error": None} | asdict(result) | {"milliseconds": milliseconds}


def _rows(answered: Answered) -> Iterator[dict[str, Any]]:
    result = answered.result
    if not isinstance(result, Prediction):
        yield {"error": result.reason}
        return
    size = {"width": result.width, "height": result.height}
    for box in result.boxes:
        corners = {"x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2}
        yield {**size, "label": box.label, "score": box.score, **corners}
    for label in result.labels:
        yield {**size, "label": label.label, "score": label.score}
    if not (result.boxes or result.labels):
        yield size
