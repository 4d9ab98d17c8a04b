"""Checkpoints as folders: some files and, last, a manifest with their sha256. Its existence means complete.

Paths inside are relative, so that another worker on another machine can go on from it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.domain.errors import TrainerCrashed
from pipeline.trainers import Checkpoint, Ended

MANIFEST = "manifest.json"


def write_checkpoint(folder: Path, files: Mapping[str, Path], *, epoch: int, ended: Ended | None) -> Path:
    """Copy `files` (name -> path) into `folder`, which appears whole or not at all."""
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, path in sorted(files.items()):
        shutil.copyfile(path, partial / name)
    manifest = {
        "schema": 1,
        "epoch": epoch,
        "ended": ended,
        "files": [{"name": name, **describe(partial / name)} for name in sorted(files)],
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try in the same place
    partial.rename(folder)
    return folder


def read_checkpoint(folder: Path) -> Checkpoint:
    """Verify a checkpoint. Raises TrainerCrashed when it is incomplete or its bytes are not those of the manifest."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        spoilt = [entry["name"] for entry in manifest["files"] if not _is_as_described(folder, entry)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainerCrashed(f"The checkpoint cannot be read: {error}") from error
    if spoilt:
        raise TrainerCrashed(f"The checkpoint is damaged: {', '.join(spoilt)}", files=spoilt)
    return Checkpoint(folder, epoch=manifest["epoch"], ended=manifest["ended"])


def describe(path: Path) -> dict[str, Any]:
    """{bytes, sha256} of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _is_as_described(folder: Path, entry: Mapping[str, Any]) -> bool:
    path = folder / Path(entry["name"]).name
    return path.is_file() and describe(path) == {"bytes": entry["bytes"], "sha256": entry["sha256"]}
