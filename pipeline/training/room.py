"""A training waits while its disk is nearly full: what it has learnt is not lost to a write that fails."""

import time
from collections.abc import Callable
from pathlib import Path

from pipeline.process.disk_full import has_room

CHECK_SECONDS = 5.0
RETRY_SECONDS = 1.0


class RoomGuard:
    """Watches the disk of `folder`. `note(text)` is called when a wait begins and ends; `check()` may end it."""

    def __init__(self, folder: Path, *, note: Callable[[str], None], check: Callable[[], None]) -> None:
        self._folder = folder
        self._note = note
        self._check = check
        self._written_bytes = 0
        self._check_at = 0.0

    def expect(self, size: int) -> None:
        """The trainer writes files of this size after each epoch, over those of the epoch before."""
        self._written_bytes = size

    def wait(self) -> None:
        """Return when the disk has room for what an epoch writes. Asks for the free space at most every 5 s."""
        if time.monotonic() < self._check_at:
            return
        if not has_room(self._folder, self._written_bytes):
            self._note("the disk is nearly full: the training waits for room")
            while not has_room(self._folder, self._written_bytes):
                self._check()
                time.sleep(RETRY_SECONDS)
            self._note("the training waited for room on the disk")
        self._check_at = time.monotonic() + CHECK_SECONDS
