"""An engine that finds each spot of a plain colour exactly, from 8 px up, and is surer the smaller it is.

So the part of an object at the edge of a tile is found, and has a higher score than the whole object in the next tile.
It is taken for another class where it is three times as long as wide.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import ExportMetadata, Output, Preprocessing

CLASSES = ("red", "green", "blue")
SIDE, SMALLEST = 128, 8  # px
_MAX_BOXES = 300


class IdealDetector:
    """See `pipeline.predictor.engines.Engine`."""

    name, precision, device = "ideal 1.0", "float32", "cpu"

    def __init__(self) -> None:
        wanted = Preprocessing(SIDE, SIDE, "letterbox", "linear", stride=32)
        self.description = ExportMetadata("detection", CLASSES, wanted, Output("kept-boxes"), {}).to_json()

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.zeros((len(batch), _MAX_BOXES, 6), np.float32)
        for index, pixels in enumerate(batch):
            rows = [row for kind in range(3) for row in _spots(pixels, kind)]
            found[index, : len(rows)] = np.array(rows, np.float32).reshape(-1, 6)
        return found


def _spots(pixels: NDArray[np.float32], kind: int) -> list[tuple[Any, ...]]:
    mask = (pixels[kind] > 0.6) & (np.delete(pixels, kind, axis=0) < 0.4).all(axis=0)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return [
        (x, y, x + width, y + height, 1 / (1 + width * height / 1e4), _class(kind, width, height))
        for x, y, width, height, _ in stats[1:].tolist()
        if min(width, height) >= SMALLEST
    ]


def _class(kind: int, width: int, height: int) -> int:
    return (kind + 1) % 3 if max(width, height) >= 3 * min(width, height) else kind
