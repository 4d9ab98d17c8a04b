"""Space on the disk, required before it is filled."""

import shutil
from pathlib import Path

from core.domain.errors import OutOfSpace

_SPARE_BYTES = 64 * 1024 * 1024  # that must stay free besides


def require_space(folder: Path, needed: int) -> None:
    """Raises OutOfSpace where the disk of `folder` has fewer than `needed` bytes free, and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise OutOfSpace(f"{needed + _SPARE_BYTES} bytes are needed, {free} are free.", needed=needed, free=free)
