"""A small disk of its own for a folder, which can be full or read-only: a tmpfs, where one may be mounted."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1024**2
REMOUNT_SECONDS = 5.0  # a file that is open for writing refuses it


class SmallDisk:
    """Mounted at `folder`. Its memory is taken only as files are written."""

    def __init__(self, folder: Path, *, mib: int) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder))

    def fill(self) -> None:
        """Leaves no byte."""
        with self._ballast.open("wb", buffering=0) as file:
            free = os.statvfs(self._folder)
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize))
                file.seek(0, os.SEEK_END)
                while file.write(bytes(4096)):
                    pass
            except OSError:  # it is full
                return

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> bool:
        """False: files were open for writing the whole time."""
        ends = time.monotonic() + REMOUNT_SECONDS
        while time.monotonic() < ends:
            if _run("mount", "-o", "remount,ro", str(self._folder), check=False):
                return True
            time.sleep(0.05)
        return False

    def make_writable(self) -> None:
        _run("mount", "-o", "remount,rw", str(self._folder))

    def unmount(self) -> None:
        _run("umount", "--lazy", str(self._folder))


def can_mount() -> bool:
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory(prefix="dr-mount-") as folder:
        mounted = _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder, check=False)
        return mounted and _run("umount", folder, check=False)


def _run(*command: str, check: bool = True) -> bool:
    return subprocess.run(command, check=check, capture_output=True).returncode == 0
