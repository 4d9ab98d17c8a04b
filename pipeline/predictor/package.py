"""An export of several files in one ZIP: OpenVINO's model.xml and model.bin, with what was measured of them.

It is stored without compression, so that a member is never larger than the ZIP, and members are read by name only.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.predictor.metadata import MetadataInvalid

OPENVINO_MODEL, OPENVINO_WEIGHTS = "model.xml", "model.bin"
ABOUT_FILE, CERTIFICATE_FILE = "export.json", "certificate.json"
MAX_BYTES: Mapping[str, int] = {  # the XML of a network of 10,000 layers has 10 MB
    OPENVINO_MODEL: 64 << 20,
    OPENVINO_WEIGHTS: 4 << 30,
    ABOUT_FILE: 4 << 20,
    CERTIFICATE_FILE: 4 << 20,
}
_DATE = (1980, 1, 1, 0, 0, 0)


def write_package(target: Path, files: Mapping[str, Path]) -> None:
    """The same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in MAX_BYTES:
            if name in files:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.external_attr = 0o644 << 16
                with archive.open(entry, "w", force_zip64=True) as member, files[name].open("rb") as file:
                    while block := file.read(1 << 20):
                        member.write(block)


def is_package(file: Path) -> bool:
    """A ZIP with a model of OpenVINO; the one of a classifier's weights has none."""
    try:
        with zipfile.ZipFile(file) as archive:
            return OPENVINO_MODEL in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_openvino(file: Path) -> tuple[bytes, bytes]:
    """The XML and the weights. Raises MetadataInvalid for any other ZIP than `write_package` makes."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names) or not set(names) <= MAX_BYTES.keys():
                raise MetadataInvalid(f"{file.name} has other files than an export has: {', '.join(names[:5])[:200]}")
            return _member(archive, OPENVINO_MODEL), _member(archive, OPENVINO_WEIGHTS)
    except (OSError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise MetadataInvalid(f"{file.name} is no ZIP of an export, or it is damaged: {error}") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise MetadataInvalid(f"{name} is compressed or encrypted; in an export it is stored as it is.")
    if entry.file_size > MAX_BYTES[name]:
        raise MetadataInvalid(f"{name} has {entry.file_size} bytes; at most {MAX_BYTES[name]} are read.")
    return archive.read(entry)
