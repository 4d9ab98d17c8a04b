"""Images as tensors: with random crops and flips for training, through the image processor for everything else."""

import math
import random
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.trainers.classifier.data import SplitImages


class Augmented(torch.utils.data.Dataset):  # type: ignore[misc]
    """For training. Crop and flip depend on seed, epoch and index alone, so that a resumed run repeats them."""

    def __init__(
        self, images: SplitImages, processor: Any, *, side: int, crop: float, fliplr: float, seed: int
    ) -> None:
        self._images = images
        self._side, self._crop, self._fliplr, self._seed = side, crop, fliplr, seed
        self._mean = np.asarray(processor.image_mean, dtype=np.float32).reshape(3, 1, 1)
        self._std = np.asarray(processor.image_std, dtype=np.float32).reshape(3, 1, 1)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = random.Random(f"{self._seed}/{self._epoch}/{index}")
        image = self._images.open(index)
        box = _crop_box(image.size, self._crop, rng)
        image = image.resize((self._side, self._side), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
        if rng.random() < self._fliplr:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        values = (np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255 - self._mean) / self._std
        return {"pixel_values": torch.from_numpy(values), "labels": self._images.labels[index]}


class Processed(torch.utils.data.Dataset):  # type: ignore[misc]
    """For evaluation: the same tensors as in prediction."""

    def __init__(self, images: SplitImages, processor: Any) -> None:
        self._images, self._processor = images, processor

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = self._processor(self._images.open(index), return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": self._images.labels[index]}


def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {
        "pixel_values": torch.stack([item["pixel_values"] for item in items]),
        "labels": torch.tensor([item["labels"] for item in items]),
    }


def balanced_weights(labels: tuple[int, ...], classes: int) -> list[float]:
    """The inverse of the share of each class, 1 on average over the images; 0 for a class without images."""
    counts = np.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    return [float(len(labels) / (present * count)) if count else 0.0 for count in counts]


def input_side(processor: Any) -> int:
    """Side of the square input of the model, px."""
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = dict(crop or processor.size)
    return int(size.get("height") or size["shortest_edge"])


def _crop_box(size: tuple[int, int], smallest: float, rng: random.Random) -> tuple[float, float, float, float]:
    """A random part with `smallest` to 1 of the area of the image; its aspect ratio differs by up to 4/3 either way."""
    if smallest >= 1:
        return (0, 0, *size)
    share = rng.uniform(smallest, 1)
    squeeze = math.exp(rng.uniform(-1, 1) * math.log(4 / 3) / 2)
    width = min(1.0, math.sqrt(share) * squeeze) * size[0]
    height = min(1.0, math.sqrt(share) / squeeze) * size[1]
    x, y = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return (x, y, x + width, y + height)
