"""Whether the disk is full, or nearly so."""

import errno
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE_BYTES = 64 * 1024 * 1024  # that must stay free besides


def is_full_disk(error: BaseException) -> bool:
    """A full disk, or a quota that is used up."""
    return isinstance(error, OSError) and error.errno in FULL


def has_room(folder: Path, needed: int) -> bool:
    """Whether the disk of `folder` has `needed` bytes free, and some to spare."""
    return shutil.disk_usage(folder).free >= needed + SPARE_BYTES
