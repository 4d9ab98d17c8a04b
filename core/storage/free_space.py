"""Free space on a disk, required before something large is written to it."""

import shutil
from pathlib import Path

from core.domain.errors import OutOfSpace


def require_free(folder: Path, needed: int, *, reserve_bytes: int) -> None:
    """Raises OutOfSpace unless the disk of `folder`, which exists, has `needed` bytes free beside the reserve."""
    free = shutil.disk_usage(folder).free
    if free < needed + reserve_bytes:
        raise OutOfSpace(
            f"{needed} bytes are needed beside a reserve of {reserve_bytes}; the disk of {folder} has {free} free.",
            needed_bytes=needed + reserve_bytes,
            free_bytes=free,
        )
