"""A resumable upload on this side: chunks with checksums, and a record of what is unfinished."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import LocalFileError

if TYPE_CHECKING:
    from darkroom.schemas import Preflight

CHUNK_BYTES = 16 * 1024**2  # sent with one checksum; an interruption costs this much at most
END_BYTES = 65_557  # the longest end record of a ZIP: what a preflight needs at least
READ_BYTES = 1024**2
_FORMATS_NONE = "formats-none"  # of a ZIP that is no dataset alone
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True)
class UploadProgress:
    """`stage` is `sha256`, while the file is read, then `upload`. `resumed`: an earlier upload is continued."""

    stage: str
    done_bytes: int
    total_bytes: int
    resumed: bool = False


OnProgress = Callable[[UploadProgress], None]


def accepted_as_addition(found: Preflight) -> bool:
    """Whether a ZIP may be sent that is added to a dataset: one folder of images, or a list of paths, is enough."""
    return all(finding.severity != "error" or finding.code == _FORMATS_NONE for finding in found.findings)


def records_folder() -> Path:
    """Where a record of each unfinished upload is kept, for the next attempt to continue."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "darkroom" / "uploads"


def sha256_of(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            done += len(block)
            on_bytes(done)
    return digest.hexdigest()


def end_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()


def chunk_at(path: Path, offset: int, *, length: int) -> tuple[bytes, dict[str, str]]:
    """The chunk of a file of `length` bytes and its headers. Raises LocalFileError where the file became shorter."""
    with path.open("rb") as file:
        file.seek(offset)
        chunk = file.read(min(CHUNK_BYTES, length - offset))
    if not chunk:
        raise LocalFileError(f"{path} became shorter while it was being sent.")
    checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
    return chunk, {
        **TUS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {checksum}",
    }


def metadata_of(fields: Mapping[str, str]) -> str:
    """The header Upload-Metadata of the tus protocol."""
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())


@dataclass(frozen=True)
class UploadRecord:
    """The same bytes for the same service with the same options are one upload; name and times of the file do not
    count."""

    path: Path

    @classmethod
    def of(cls, folder: Path, url: str, sha256: str, fields: Mapping[str, str]) -> UploadRecord:
        identity = hashlib.sha256(json.dumps([url, sha256, sorted(fields.items())]).encode()).hexdigest()
        return cls(folder / f"{identity}.json")

    def read(self) -> str:
        """The path of the upload at the service; empty where there is no record."""
        try:
            return str(json.loads(self.path.read_text(encoding="utf-8"))["path"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""

    def write(self, url: str, path: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part")
        partial.write_text(json.dumps({"service": url, "path": path}), encoding="utf-8")
        partial.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
