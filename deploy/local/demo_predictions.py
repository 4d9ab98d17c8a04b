"""Test images of a dataset, and how predictions agree with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from darkroom import Client
from darkroom.schemas import Box, Dataset, DatasetBox, DatasetImage, Prediction
from deploy.local.private_stack import DemoFailed
from pipeline.archive.plural import counted

IMAGES = 12
IOU = 0.5  # a box is found where a predicted one of its class shares so much with it


@dataclass(frozen=True)
class LabelledImage:
    labelled: DatasetImage
    content: bytes


@dataclass(frozen=True)
class Agreement:
    """Boxes, or images of classes: `found` of those that are labelled, and `wrong` that are predicted besides."""

    labelled: int
    found: int
    wrong: int


def held_out_images(client: Client, dataset: Dataset) -> list[LabelledImage]:
    """Of the test split, or of val where there is none. Sorted by brightness, which mixes the classes."""
    for split in ("test", "val"):
        if found := list(islice(client.datasets.images(dataset, split=split, sort="brightness"), IMAGES)):
            return [LabelledImage(image, client.datasets.image(dataset, image.sha256)) for image in found]
    raise DemoFailed("The prepared dataset has no image outside its train split.")


def agreement_text(images: Sequence[LabelledImage], predictions: Sequence[Prediction]) -> str:
    """`12 images, 31 of 33 boxes found, 2 wrong` or `12 images, 11 right`."""
    each = [agreement(image.labelled, prediction) for image, prediction in zip(images, predictions, strict=True)]
    found = sum(one.found for one in each)
    if all(image.labelled.label is not None for image in images):
        return f"{counted(len(images), 'image')}, {found} right"
    labelled, wrong = sum(one.labelled for one in each), sum(one.wrong for one in each)
    return f"{counted(len(images), 'image')}, {found} of {labelled} boxes found, {wrong} wrong"


def agreement(image: DatasetImage, prediction: Prediction) -> Agreement:
    """Boxes are matched one to one, those of the highest scores first, by class and IoU."""
    if image.label is not None:
        right = bool(prediction.labels) and prediction.labels[0].label == image.label
        return Agreement(1, int(right), int(not right))
    missing = list(image.boxes)
    for box in sorted(prediction.boxes, key=lambda each: -each.score):
        same_class = [each for each in missing if each.class_ == box.label]
        nearest = max(same_class, key=lambda each: iou(box, each), default=None)
        if nearest is not None and iou(box, nearest) >= IOU:
            missing.remove(nearest)
    found = len(image.boxes) - len(missing)
    return Agreement(len(image.boxes), found, len(prediction.boxes) - found)


def iou(box: Box, labelled: DatasetBox) -> float:
    """Intersection over union, 0 to 1."""
    width = min(box.x2, labelled.x + labelled.width) - max(box.x1, labelled.x)
    height = min(box.y2, labelled.y + labelled.height) - max(box.y1, labelled.y)
    shared = max(width, 0.0) * max(height, 0.0)
    areas = (box.x2 - box.x1) * (box.y2 - box.y1) + labelled.width * labelled.height
    return shared / (areas - shared) if areas > shared else 0.0
