"""The boxes of an image in the manifest of a prepared tree."""

import numpy as np
from numpy.typing import NDArray


def boxes_of_manifest(rows: list[list[int]]) -> NDArray[np.float64]:
    """`rows`: class, corners in thousandths of a pixel, flags -> (N, 5): class, x1, y1, x2, y2 in pixels of the upright
    image."""
    return np.array([[row[0], *(value / 1000 for value in row[1:5])] for row in rows], float).reshape(-1, 5)
