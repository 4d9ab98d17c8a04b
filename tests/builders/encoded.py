"""Archives whose names are bytes of any encoding, as tools write that declare none."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


class _RawName(zipfile.ZipInfo):
    """An entry whose name is written as these bytes, without the UTF-8 flag."""

    raw: bytes

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits & ~0x800


def raw_zip(path: Path, files: Mapping[bytes, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, content) in enumerate(files.items()):
            entry = _RawName(f"{number}")
            entry.raw = name
            archive.writestr(entry, content)
    return path
