"""Checkpoints as folders: some files and, last, a manifest with their sha256. Its existence means complete.

Paths inside are relative, so that another worker on another machine can continue from it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from core.domain.errors import TrainerCrashed
from pipeline.process.checkpoint_manifest import (
    MANIFEST_FILE,
    CheckpointDamaged,
    CheckpointFile,
    CheckpointManifest,
    digest_of,
    verify_checkpoint,
)
from pipeline.trainers import Checkpoint, Ended


def write_checkpoint(folder: Path, files: Mapping[str, Path], *, epoch: int, ended: Ended | None) -> Path:
    """Copy `files` (name -> path) into `folder`, which appears whole or not at all."""
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, path in sorted(files.items()):
            shutil.copyfile(path, partial / name)
        described = (CheckpointFile(name=name, **digest_of(partial / name).model_dump()) for name in sorted(files))
        manifest = CheckpointManifest(epoch=epoch, ended=ended, files=tuple(described))
        (partial / MANIFEST_FILE).write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    except OSError:  # a full disk gets its space back
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try in the same place
    partial.rename(folder)
    return folder


def read_checkpoint(folder: Path) -> Checkpoint:
    """Verify a checkpoint. Raises TrainerCrashed where it is incomplete or its bytes differ from the manifest."""
    try:
        manifest = verify_checkpoint(folder)
    except CheckpointDamaged as error:
        raise TrainerCrashed(str(error), **({"files": list(error.files)} if error.files else {})) from error
    return Checkpoint(folder, epoch=manifest.epoch, ended=manifest.ended)
