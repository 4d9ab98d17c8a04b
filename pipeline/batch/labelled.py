"""The images with what was predicted as their labels, in a ZIP that can be corrected and uploaded again.

Detection: `images/` and annotations.json, which is COCO; classification: a folder of each class.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.batch.answered import Answered
from pipeline.batch.names import UniqueNames
from pipeline.hub.folder_names import folders_of
from pipeline.predictor.predictor import Prediction

LABELLED_FILE = "labelled.zip"
ANNOTATIONS, IMAGES = "annotations.json", "images"
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


class LabelledWriter:
    """`is_written`: False where no ZIP is wanted; then no image lies anywhere."""

    def __init__(self, folder: Path, *, kind: str, classes: Sequence[str], is_written: bool) -> None:
        self._folders = folders_of(classes) if kind == "classification" else {}
        self._names = UniqueNames()
        self._zip = zipfile.ZipFile(folder / LABELLED_FILE, "w") if is_written else None

    def path_of(self, answered: Answered) -> str | None:
        """None for an image that is not in the ZIP."""
        result = answered.result
        if self._zip is None or not isinstance(result, Prediction) or (self._folders and not result.labels):
            return None
        folder = self._folders[result.labels[0].label] if self._folders else IMAGES
        return f"{folder}/{self._names.of(answered.image.name, answered.content)}"

    def add(self, answered: Answered, file: str | None) -> None:
        if self._zip is not None and file is not None:
            self._zip.writestr(_entry(file), answered.content)

    def add_annotations(self, coco: Path) -> None:
        if self._zip is None:
            return
        entry = _entry(ANNOTATIONS)
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, coco.stat().st_size
        with coco.open("rb") as source, self._zip.open(entry, "w") as target:
            while block := source.read(1 << 20):
                target.write(block)

    def close(self) -> None:
        if self._zip is not None:
            self._zip.close()


def _entry(name: str) -> zipfile.ZipInfo:
    """Stored: images are compressed already. With a fixed time: the same predictions give the same bytes."""
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = _MODE
    entry.create_system = 3
    return entry
