"""A model of several files as one ZIP: stored, sorted, with fixed times; the same model gives the same bytes."""

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.domain.errors import WeightsUnavailable
from pipeline.trainers import ModelSource

MODEL_ZIP = "model.zip"
ALLOWED = (".safetensors", ".json", ".txt")  # no pickles: nothing that runs when it is read
MAX_MEMBERS = 64  # vit writes four; sharded weights have more

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a ZIP


def pack_model(files: Mapping[str, Path], target: Path) -> None:
    """Writes `files` (name -> path) into `target`. Raises OSError."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(files.items()):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.file_size = path.stat().st_size  # required in advance from 2 GiB on
            member.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(member, "w") as packed:
                shutil.copyfileobj(source, packed, 1024**2)


def model_files(model: Path, folder: Path) -> Path:
    """The folder with the files of `model`: a folder with `model.zip`, that ZIP, or such a folder itself.

    A ZIP is unpacked into `folder`. Raises OSError, zipfile.BadZipFile, and ValueError for members that a model does
    not have.
    """
    if model.is_file():
        return _unpack(model, folder)
    return _unpack(model / MODEL_ZIP, folder) if (model / MODEL_ZIP).is_file() else model


def unpacked(source: ModelSource, folder: Path) -> ModelSource:
    """A parent whose model is a folder in `folder`; any other source as it is. Raises WeightsUnavailable."""
    if source.parent is None:
        return source
    folder.mkdir()
    try:
        return replace(source, path_or_name=str(model_files(Path(source.path_or_name), folder)))
    except (zipfile.BadZipFile, ValueError) as error:
        raise WeightsUnavailable(f"{source.parent} cannot be read: {error}", model=source.parent) from error


def _unpack(archive: Path, folder: Path) -> Path:
    """Raises OSError, zipfile.BadZipFile, and ValueError for members that a model does not have."""
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        foreign = [member.filename for member in members if not _is_allowed(member.filename)]
        if foreign or len(members) > MAX_MEMBERS:
            raise ValueError(f"not a model ZIP: {', '.join(foreign[:3]) or f'{len(members)} members'}")
        for member in members:
            with opened.open(member) as packed, (folder / member.filename).open("xb") as target:
                shutil.copyfileobj(packed, target, 1024**2)
    return folder


def _is_allowed(name: str) -> bool:
    return Path(name).name == name and name.endswith(ALLOWED) and not name.startswith(".")
