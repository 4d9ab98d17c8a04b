"""The same small set of boxes in every format whose annotation files list images by name."""

from collections.abc import Iterable, Mapping

from pipeline.dataset.boxes import in_pixels
from pipeline.dataset.model import Dataset
from tests.builders.voc import SIZE, Files, image_bytes

PixelBox = tuple[str, float, float, float, float]  # class, then left, top, right, bottom in pixels
Truth = dict[str, list[PixelBox]]  # image name -> its boxes

CSV_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def truth(count: int = 4, *, folder: str = "images/") -> Truth:
    return {
        f"{folder}p{number:02d}.jpg": [("ball", 8.0 + number, 10.0, 32.0, 26.5), ("cube", 40.0, 20.0, 72.0, 52.0)]
        for number in range(count)
    }


def images(names: Iterable[str]) -> Files:
    return {name: image_bytes(seed=number) for number, name in enumerate(names)}


def csv_files(boxes: Truth | None = None, *, name: str = "annotations.csv") -> Files:
    """As converters of Pascal VOC to CSV write it."""
    boxes = truth() if boxes is None else boxes
    rows = [CSV_HEADER]
    for image, of_image in boxes.items():
        base = image.rpartition("/")[2]
        rows += [f"{base},{SIZE[0]},{SIZE[1]},{label},{x1},{y1},{x2},{y2}" for label, x1, y1, x2, y2 in of_image]
    return images(boxes) | {name: ("\n".join(rows) + "\n").encode()}


def boxes_read(dataset: Dataset, size: tuple[int, int] = SIZE) -> Truth:
    """Image name -> its boxes in pixels to a thousandth, in the order of the file."""
    return {
        item.image.name: [
            (box.label, box.x1 / 1000, box.y1 / 1000, box.x2 / 1000, box.y2 / 1000)
            for box in in_pixels(item.boxes, item.coordinates, *size)
        ]
        for item in dataset.items
    }


def close(left: Mapping[str, list[PixelBox]], right: Mapping[str, list[PixelBox]], within: float = 0.01) -> bool:
    """Whether both have the same images and classes, and the same corners within so many pixels."""
    if left.keys() != right.keys():
        return False
    for name, boxes in left.items():
        others = right[name]
        if [box[0] for box in boxes] != [box[0] for box in others]:
            return False
        edges = zip(
            (edge for box in boxes for edge in box[1:]), (edge for box in others for edge in box[1:]), strict=True
        )
        if any(abs(first - second) > within for first, second in edges):
            return False
    return True
