"""Descriptors of an image that use no label: its shapes and its coarse colours.

Shapes are histograms of oriented gradients (Dalal and Triggs, 2005): 9 unsigned directions, cells of 8 x 8 px, blocks
of 2 x 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, CELL, DIRECTIONS = 64, 8, 9
COLOURS = 8  # the image as 8 x 8 px, which gradients do not describe
LENGTH = (SIDE // CELL - 1) ** 2 * 4 * DIRECTIONS + 3 * COLOURS**2


def describe_image(image: Image.Image) -> NDArray[Any]:
    """(LENGTH,) float32 of an RGB image."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    small = np.asarray(image.resize((COLOURS, COLOURS), Image.Resampling.BOX), dtype=np.float32) / 255
    return np.concatenate((_gradients(grey), small.ravel()))


def _gradients(grey: NDArray[Any]) -> Any:
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    direction = (np.arctan2(down, right) % np.pi) / np.pi * DIRECTIONS
    low = np.floor(direction).astype(int) % DIRECTIONS
    part = direction - np.floor(direction)
    cells = SIDE // CELL
    rows, columns = np.indices(grey.shape) // CELL
    cell = (rows * cells + columns) * DIRECTIONS
    votes = np.bincount((cell + low).ravel(), ((1 - part) * strength).ravel(), cells * cells * DIRECTIONS)
    votes += np.bincount((cell + (low + 1) % DIRECTIONS).ravel(), (part * strength).ravel(), cells * cells * DIRECTIONS)
    grid = votes.reshape(cells, cells, DIRECTIONS)
    blocks = np.concatenate((grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]), axis=2)
    return (blocks / np.sqrt((blocks**2).sum(axis=2, keepdims=True) + 1e-2)).astype(np.float32).ravel()
