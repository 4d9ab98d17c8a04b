"""Space on the disk, required before it is filled."""

import shutil
from pathlib import Path

from core.domain.errors import OutOfSpace
from pipeline.process.disk_full import SPARE_BYTES


def require_space(folder: Path, needed: int) -> None:
    """Raises OutOfSpace where the disk of `folder` has fewer than `needed` bytes free, and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise OutOfSpace(f"{needed + SPARE_BYTES} bytes are needed, {free} are free.", needed=needed, free=free)
