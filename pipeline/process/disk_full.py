"""Whether an error means that the disk is full."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full_disk(error: BaseException) -> bool:
    """A full disk, or a quota that is used up."""
    return isinstance(error, OSError) and error.errno in FULL
