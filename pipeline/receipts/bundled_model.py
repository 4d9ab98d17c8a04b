"""The model in a bundle, once all of the bundle was found to be as it was written."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.archive.first_bytes import HEAD_BYTES
from pipeline.archive.zip_directory import ZipEntry, locate_data, read_directory
from pipeline.bundle.run import EXPORT_FILE
from pipeline.bundle.verify import MANIFEST, Fault, verify_bundle
from pipeline.bundle.zip_layout import BLOCK_BYTES


class BundleInvalid(ValueError):
    """`faults`: what `python -m pipeline verify` finds."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults[:3])))


@dataclass(frozen=True, slots=True)
class BundledModel:
    """`version_id`: of the version that the bundle is of."""

    file: Path
    name: str
    version_id: str


def model_of_bundle(bundle: Path, folder: Path) -> BundledModel:
    """Copies the ONNX of the bundle into `folder`; nothing of it is run. Raises BundleInvalid, OSError."""
    found = verify_bundle(bundle)
    if found.faults:
        raise BundleInvalid(found.faults)
    with bundle.open("rb") as file:
        entries = {each.name: each for each in read_directory(file, file.read(HEAD_BYTES))[0]}
        if EXPORT_FILE not in entries:
            raise BundleInvalid([Fault(EXPORT_FILE, "It is missing: a bundle has the ONNX of its version.")])
        manifest = json.loads(_content(file, entries[MANIFEST]))
        _copy(file, entries[EXPORT_FILE], folder / EXPORT_FILE)
    return BundledModel(folder / EXPORT_FILE, str(manifest.get("bundle")), str(manifest.get("version_id")))


def _content(file: BinaryIO, entry: ZipEntry) -> bytes:
    file.seek(cast(int, locate_data(file, entry)))  # its headers were compared
    return file.read(entry.size)


def _copy(file: BinaryIO, entry: ZipEntry, target: Path) -> None:
    file.seek(cast(int, locate_data(file, entry)))
    left = entry.size
    with target.open("wb") as out:
        while left and (block := file.read(min(BLOCK_BYTES, left))):
            out.write(block)
            left -= len(block)
