"""YOLO: images/, labels/ and data.yaml.

With `arrange=paths` the images keep their paths below images/, and data.yaml names the folders of the splits where they
have folders of their own, else lists (train.txt, ...); with `arrange=splits` they lie in images/train, images/val, ...
"""

import yaml

from pipeline.archive.entry_names import bare_of
from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset_export.images import (
    add_images,
    by_split,
    file_names,
    note_contradictions,
    note_paths,
    split_folders,
)
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.readme import Readme
from pipeline.dataset_export.source import ExportSource
from pipeline.index.schema import IndexedImage
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter

_IMAGES, _LABELS = "images/", "labels/"
_USE = """\
`yolo detect train data=data.yaml` (ultralytics), in this folder. Each line of a file in `labels/` is a class, the
centre of a box and its sides, as fractions of the upright image; an empty file is an image without objects."""


def write(source: ExportSource, target: ZipWriter, *, arrange: Arrange, losses: Losses, steps: StageReporter) -> Readme:
    """See `pipeline.dataset_export.FormatWriter`."""
    names = file_names(source, _IMAGES, key=label_name)
    folders = split_folders(source, names, _IMAGES)
    if arrange == "splits" and folders is None:
        names = {path: f"{_IMAGES}{source.splits[path]}/{name.removeprefix(_IMAGES)}" for path, name in names.items()}
        folders = split_folders(source, names, _IMAGES)
    note_paths(names, _IMAGES, losses)
    note_contradictions(source, names, losses)
    parts = folders or {split: f"{split}.txt" for split, _ in by_split(source, names)}
    target.add("data.yaml", _data_yaml(source.classes, parts).encode())
    add_images(source, target, names, losses=losses, steps=steps)
    steps.stage("writing-annotations")
    difficult = 0
    for done, image in enumerate(source.images(), start=1):
        target.add(label_name(names[image.path]), label_lines(image).encode("ascii"))
        difficult += sum(box.difficult for box in image.boxes)
        steps.tick(done, source.count)
    if folders is None:
        for split, listed in by_split(source, names):
            target.add(f"{split}.txt", "".join(f"./{name}\n" for name in listed).encode())
    losses.add("difficult", difficult)
    return Readme(_USE)


def label_name(name: str) -> str:
    """As ultralytics finds it: the last `/images/` of the path becomes `/labels/`."""
    before, _, after = f"/{name}".rpartition(f"/{_IMAGES}")
    return f"{before}/{_LABELS}{bare_of(after)}.txt".removeprefix("/")


def label_lines(image: IndexedImage) -> str:
    """Nine decimals restore thousandths of a pixel of an image of 65,535 pixels."""
    wide, high = image.width * 1000, image.height * 1000
    return "".join(
        f"{box.class_id} {(box.x1 + box.x2) / 2 / wide:.9f} {(box.y1 + box.y2) / 2 / high:.9f} "
        f"{(box.x2 - box.x1) / wide:.9f} {(box.y2 - box.y1) / high:.9f}\n"
        for box in image.boxes
    )


def _data_yaml(classes: list[str], parts: dict[str, str]) -> str:
    # ultralytics wants a `val`; without `path` it looks beside the file.
    content: dict[str, object] = {"train": "", "val": "", **parts}
    content["names"] = dict(enumerate(classes))
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
