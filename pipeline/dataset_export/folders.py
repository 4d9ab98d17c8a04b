"""Folders of classes: `cat/1.jpg`, `train/cat/1.jpg`.

With `arrange=paths` the images keep their paths, where their folders show their classes; lists (train.txt, ...) have
the splits that the folders do not show. With `arrange=splits`, and where the folders show no classes, an image lies in
`split/class/name`.
"""

from collections import Counter
from collections.abc import Iterable

from pipeline.archive.entry_names import base_of
from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.dataset_export.images import add_images, by_split, file_names, note_paths, numbered
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.readme import Readme
from pipeline.dataset_export.source import ExportSource
from pipeline.formats.class_folders import Assignment, Folder, assign_folders
from pipeline.hub.folder_names import folders_of
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter

_USE = """\
An image's class is the name of its folder."""
_BY_FOLDER = " `train/`, `val/` and `test/` are read by torchvision's `ImageFolder` and by ultralytics' classifiers."
_BY_LISTS = " The lists `train.txt`, `val.txt` and `test.txt` name the images of each split, whose folders are classes."


def write(source: ExportSource, target: ZipWriter, *, arrange: Arrange, losses: Losses, steps: StageReporter) -> Readme:
    """See `pipeline.dataset_export.FormatWriter`."""
    kept = file_names(source, "")
    found = _assigned(kept.values())
    splits = source.splits
    shows_splits = all(found[_folder(name)].split == splits[path] for path, name in kept.items())
    keeps = _shows_classes(source, kept, found) and (arrange == "paths" or shows_splits)
    names = kept if keeps else _in_folders(source, losses)
    note_paths(names, "", losses)
    if keeps:
        wrong = [p for p, n in kept.items() if splits[p] == "train" and found[_folder(n)].split in HELD_OUT_SPLITS]
        losses.add("splits-contradict-folders", len(wrong))
    add_images(source, target, names, losses=losses, steps=steps)
    if not keeps:
        folders = folders_of(source.classes)
        return Readme(_USE + _BY_FOLDER, classes=[folders[name] for name in source.classes])
    if shows_splits:
        return Readme(_USE + _BY_FOLDER)
    for split, listed in by_split(source, names):
        target.add(f"{split}.txt", "".join(f"{name}\n" for name in listed).encode())
    return Readme(_USE + _BY_LISTS)


def _assigned(names: Iterable[str]) -> dict[Folder, Assignment]:
    return assign_folders(Counter(map(_folder, names)))


def _shows_classes(source: ExportSource, names: dict[str, str], found: dict[Folder, Assignment]) -> bool:
    labels = ((image.path, source.classes[image.label or 0]) for image in source.images())
    return all(found[_folder(names[path])].label == label for path, label in labels)


def _in_folders(source: ExportSource, losses: Losses) -> dict[str, str]:
    """Names that are taken get a number; upper and lower case count as the same."""
    folders = folders_of(source.classes)
    losses.add("classes-renamed", sum(name != folder for name, folder in folders.items()))
    names: dict[str, str] = {}
    taken: set[str] = set()
    for image in source.images():
        folder = folders[source.classes[image.label or 0]]
        name = f"{image.split}/{folder}/{base_of(source.path_of(image))}"
        if name.casefold() in taken:
            name = numbered(name, lambda other: other.casefold() in taken)
        taken.add(name.casefold())
        names[image.path] = name
    return names


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])
