"""A model of several files as one ZIP: stored, sorted, with a fixed time, so that the same model is the same bytes."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

MODEL_ZIP = "model.zip"
ALLOWED = (".safetensors", ".json", ".txt")  # nothing that runs when it is read
MAX_MEMBERS = 64  # our own have four; sharded weights some more

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a ZIP can tell


def pack(files: Mapping[str, Path], target: Path) -> None:
    """Write `files` (name -> path) into `target`. Raises OSError."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(files.items()):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.file_size = path.stat().st_size  # from 2 GiB on it must be known beforehand
            member.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(member, "w") as packed:
                shutil.copyfileobj(source, packed, 1024**2)


def unpack(archive: Path, folder: Path) -> Path:
    """The other way round. Raises OSError, zipfile.BadZipFile, and ValueError for members that are none of ours."""
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        foreign = [m.filename for m in members if Path(m.filename).name != m.filename or not _is_ours(m.filename)]
        if foreign or len(members) > MAX_MEMBERS:
            raise ValueError(f"not a model of ours: {', '.join(foreign[:3]) or f'{len(members)} members'}")
        for member in members:
            with opened.open(member) as packed, (folder / member.filename).open("xb") as target:
                shutil.copyfileobj(packed, target, 1024**2)
    return folder


def unpacked(model: Path, folder: Path) -> Path:
    """The files of a model: of a folder with `model.zip`, of that ZIP (both by way of `folder`), or a folder of them.

    Raises what `unpack` raises.
    """
    if model.is_file():
        return unpack(model, folder)
    return unpack(model / MODEL_ZIP, folder) if (model / MODEL_ZIP).is_file() else model


def _is_ours(name: str) -> bool:
    return name.endswith(ALLOWED) and not name.startswith(".")
