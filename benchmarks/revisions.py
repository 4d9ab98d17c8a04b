"""What the benchmarks of revisions have in common: a set, the images that are added to it, and the whole of both."""

import argparse
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.image_sets import LARGE_PHOTO, TINY, new_zip, write_set


class Parts(NamedTuple):
    """ZIPs: the images of the first upload, those that are added, others that are added later, and the whole of the
    first two."""

    first: Path
    more: Path
    later: Path
    whole: Path


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """`images`, `added`, and `size`: width and height in pixels."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--added", type=int, default=100)
    parser.add_argument("--deflated", action="store_true", help="uploads whose images are deflated")
    parser.add_argument("--size", type=size_of, default=LARGE_PHOTO, metavar="WIDTHxHEIGHT", help="of each image")
    return parser


def size_of(text: str) -> tuple[int, int]:
    """Width and height in pixels of `1280x960`. Raises ArgumentTypeError, also below `TINY`."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if size[0] < TINY[0] or size[1] < TINY[1]:
        least = f"{TINY[0]}x{TINY[1]}"
        raise argparse.ArgumentTypeError(
            f"{text!r} is not WIDTHxHEIGHT in pixels, such as 1280x960, of at least {least}"
        )
    return size


def write_parts(folder: Path, *, images: int, added: int, size: tuple[int, int], stored: bool = False) -> Parts:
    parts = Parts(*(folder / f"{name}.zip" for name in Parts._fields))
    write_set(parts.whole, images=images + added, size=size, stored=stored)
    write_set(parts.later, images=added, size=size, seed=1, stored=stored)
    with (
        zipfile.ZipFile(parts.whole) as source,
        new_zip(parts.first, stored=stored) as left,
        new_zip(parts.more, stored=stored) as right,
    ):
        for entry in source.infolist():
            number = int(Path(entry.filename).stem)
            (left if number < images else right).writestr(entry.filename, source.read(entry))
    return parts
