"""COCO: images/ and a JSON for each split, in annotations/. Boxes are left, top, width, height in pixels."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.model import SPLITS
from pipeline.dataset_export.images import add_images, file_names, note_contradictions, note_paths
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.pixels import px
from pipeline.dataset_export.readme import Readme
from pipeline.dataset_export.source import ExportSource
from pipeline.index.schema import IndexedImage
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter

_IMAGES = "images/"
_USE = """\
`annotations/instances_train.json` and its siblings are read by pycocotools, detectron2, mmdetection and torchvision's
`CocoDetection`, with the folder `images/`. Image ids count the images of all splits, category ids begin with 1."""
_USE_OF_ONE = """\
`annotations/instances.json` has the images of all splits, and the part of each in its field `split`: some lie in
folders that are named like other parts, which a file for each part would contradict. Category ids begin with 1."""


def write(source: ExportSource, target: ZipWriter, *, arrange: Arrange, losses: Losses, steps: StageReporter) -> Readme:
    """See `pipeline.dataset_export.FormatWriter`."""
    del arrange  # the splits are files: the images need not move
    names = file_names(source, _IMAGES)
    note_paths(names, _IMAGES, losses)
    one_file = note_contradictions(source, names, losses)
    add_images(source, target, names, losses=losses, steps=steps)
    steps.stage("writing-annotations")
    present = set(source.splits.values())
    parts = [None] if one_file else [split for split in SPLITS if split in present]
    for split in parts:
        with tempfile.NamedTemporaryFile(dir=target.folder) as file:
            path = Path(file.name)
            with path.open("w", encoding="utf-8", newline="\n") as out:
                _write_document(source, split, names, out, steps)
            target.add_file(f"annotations/instances{f'_{split}' if split else ''}.json", path)
    losses.add("difficult", sum(box.difficult for image in source.images() for box in image.boxes))
    return Readme(_USE_OF_ONE if one_file else _USE)


def _write_document(
    source: ExportSource, split: str | None, names: dict[str, str], out: TextIO, steps: StageReporter
) -> None:
    """An entry a line, so that what is wrong in one has a line. `split`: None for all."""
    categories = [{"id": number, "name": name} for number, name in enumerate(source.classes, start=1)]
    head = {"info": {"description": f"{split or 'all'} of {source.fingerprint}"}, "licenses": []}
    out.write(f'{_text(head | {"categories": categories})[:-1]}, "images": [')
    _write_list(out, (_image(number, image, split, names) for number, image in _numbered(source, split, steps)))
    out.write('], "annotations": [')
    _write_list(out, _annotations(source, split, steps))
    out.write("]}\n")


def _numbered(source: ExportSource, split: str | None, steps: StageReporter) -> Iterator[tuple[int, IndexedImage]]:
    for number, image in enumerate(source.images(), start=1):
        steps.raise_if_cancelled()
        if split in (None, image.split):
            yield number, image


def _image(number: int, image: IndexedImage, split: str | None, names: dict[str, str]) -> dict[str, Any]:
    name = names[image.path].removeprefix(_IMAGES)
    entry = {"id": number, "file_name": name, "width": image.width, "height": image.height}
    return entry if split else entry | {"split": image.split}


def _annotations(source: ExportSource, split: str | None, steps: StageReporter) -> Iterator[dict[str, Any]]:
    at = 0
    for number, image in _numbered(source, split, steps):
        for box in image.boxes:
            at += 1
            wide, high = box.x2 - box.x1, box.y2 - box.y1
            yield {
                "id": at,
                "image_id": number,
                "category_id": box.class_id + 1,
                "bbox": [px(box.x1), px(box.y1), px(wide), px(high)],
                "area": wide * high / 1e6,
                "iscrowd": 0,
            }


def _write_list(out: TextIO, entries: Iterator[dict[str, Any]]) -> None:
    separator = "\n"
    for entry in entries:
        out.write(separator + _text(entry))
        separator = ",\n"


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
