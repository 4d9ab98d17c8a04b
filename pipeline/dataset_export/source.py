"""What is exported: the image index of a dataset, its classes, and where the bytes of each image lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.archive.byte_range import ByteRange
from pipeline.archive.entry_names import suffix_of
from pipeline.index.read import Selection, count_images, read_contents, read_images
from pipeline.index.schema import IndexedImage

_CONVERTED = "PNG"


@dataclass(frozen=True)
class ExportSource:
    """`contents`: of an image its bytes, as they were uploaded where they are still stored."""

    kind: str
    classes: list[str]
    fingerprint: str
    content_fingerprint: str
    index: Path
    contents: Callable[[IndexedImage], ByteRange]
    is_original: bool = True  # False: `contents` are those of the prepared set

    def path_of(self, image: IndexedImage) -> str:
        """Its path, with `.png` behind it where it was converted and the original is not stored any more."""
        converted = not self.is_original and image.format == _CONVERTED and suffix_of(image.path) != ".png"
        return f"{image.path}.png" if converted else image.path

    def images(self) -> Iterator[IndexedImage]:
        """By path, from the file each time: of 50,000 images none stays in memory."""
        return read_images(self.index)

    @cached_property
    def count(self) -> int:
        return count_images(self.index, Selection())

    @cached_property
    def splits(self) -> dict[str, str]:
        """Path -> train, val or test, by path."""
        return {image.path: image.split for image in read_contents(self.index)}
