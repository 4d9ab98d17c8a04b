"""Folders of classes that are known: of what is added to a dataset, one folder is enough."""

from collections.abc import Sequence

from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, Item
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.split_names import split_of_folder

_FOLDERS = "folders"


def read_known_folders(source: ExtractedArchive, classes: Sequence[str]) -> Dataset | None:
    """Each image of the class that the deepest folder with the name of a class gives. None: no image has one, or the
    archive has more than images."""
    known = set(classes)
    images = images_of_set(source)
    if not known or len(images) < len(source.files):
        return None
    items = []
    for image in images:
        folders = image.name.split("/")[:-1]
        label = next((name for name in reversed(folders) if name in known), None)
        split = next((part for name in folders if (part := split_of_folder(name))), None)
        items.append(Item(image, label=label, split=split, coordinates="fractions"))
    if not any(item.label for item in items):
        return None
    return Dataset("classification", _FOLDERS, tuple(items))
