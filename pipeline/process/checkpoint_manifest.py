"""The manifest of a checkpoint: the last file written, so that its existence means complete; verified before use."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.process.results import FileDigest

MANIFEST_FILE = "manifest.json"

Ended = Literal["completed", "early-stopped", "max-minutes", "stopped"]


class CheckpointDamaged(ValueError):
    """`files`: names of the files that are missing or altered; empty where the manifest itself cannot be read."""

    def __init__(self, detail: str, files: tuple[str, ...] = ()) -> None:
        self.files = files
        super().__init__(detail)


class CheckpointFile(FileDigest):
    name: str


class CheckpointManifest(BaseModel):
    """`ended` is set when `epoch` was the last: only evaluation is left."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    format_version: Literal[1] = Field(1, alias="schema")
    epoch: int
    ended: Ended | None
    files: tuple[CheckpointFile, ...]


def verify_checkpoint(folder: Path) -> CheckpointManifest:
    """Compare every file with the manifest. Raises CheckpointDamaged."""
    try:
        manifest = CheckpointManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        damaged = tuple(file.name for file in manifest.files if not _is_as_described(folder, file))
    except (OSError, ValueError) as error:
        raise CheckpointDamaged(f"The checkpoint cannot be read: {error}") from error
    if damaged:
        raise CheckpointDamaged(f"The checkpoint is damaged: {', '.join(damaged)}", damaged)
    return manifest


def digest_of(path: Path) -> FileDigest:
    with path.open("rb") as file:
        return FileDigest(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _is_as_described(folder: Path, file: CheckpointFile) -> bool:
    path = folder / Path(file.name).name
    return path.is_file() and digest_of(path) == FileDigest(bytes=file.bytes, sha256=file.sha256)
