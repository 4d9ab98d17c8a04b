"""Room for uploads: in the temporary folder, and in the store where that is a folder of this machine.

What was promised and is not written yet counts as used: to resumable uploads by their rows, to other bodies by files
(core/storage/room.py). Every upload asks again as its bytes arrive, because workers and other programs fill the same
disks.
"""

from collections.abc import Callable

from core.db.tables import UploadRow
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.uploads.sessions import promised_bytes
from core.storage.room import Promise, Room

ASK_EVERY_BYTES = 32 * MIB  # what arrives between two questions; a body of unknown length is promised as much at a time


class GrantedRoom:
    """What one request may write, until `close`. Used by one thread at a time."""

    def __init__(self, temp: Promise, stored: Promise, *, ask: Callable[[], int], grows: tuple[int, int]) -> None:
        self._temp, self._stored = temp, stored
        self._ask = ask
        self._grows = grows
        self._taken = 0

    def take(self, size: int) -> None:
        """To be called before `size` bytes are written to the temporary folder. Raises OutOfSpace."""
        if self._taken + size > ASK_EVERY_BYTES:
            for promise, grows in zip((self._temp, self._stored), self._grows, strict=True):
                promise.grow(grows, also=self._ask)
            self._taken = 0
        self._taken += size
        self._temp.written(size)

    def close(self) -> None:
        self._stored.close()
        self._temp.close()


class UploadRoom:
    """Grants room, or raises OutOfSpace."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        settings = platform.settings
        self._temp = self._store = Room(settings.temp, reserve_bytes=settings.disk_reserve_bytes)
        self._copies = 0  # of an upload, in a store on a disk of this machine
        if settings.store_folder is not None:
            store = Room(settings.store_folder, reserve_bytes=settings.disk_reserve_bytes)
            self._copies = 1
            self._store = self._temp if store.device == self._temp.device else store

    def for_body(self, length: int | None, *, is_stored: bool = True) -> GrantedRoom:
        """For a body in a temporary file and the object made of it. `length`: as announced, None if it is not."""
        size, grows = (ASK_EVERY_BYTES, ASK_EVERY_BYTES) if length is None else (length, 0)
        copies = self._copies if is_stored else 0
        return self._granted(size, copies * size, grows=(grows, copies * grows))

    def for_new(self, length: int) -> GrantedRoom:
        """For a resumable upload, until its row promises the same."""
        return self._granted(0 if self._copies else length, 2 * self._copies * length)

    def for_chunk(self, row_now: Callable[[], UploadRow], length: int | None, *, is_whole: bool) -> GrantedRoom:
        """For a chunk, as long as the disk has room for all that its upload still needs.

        `is_whole`: the chunk is stored as one part of this `length`; otherwise in parts of ASK_EVERY_BYTES.
        """
        grows = ASK_EVERY_BYTES if length is None or not is_whole else 0
        size = ASK_EVERY_BYTES if length is None else min(length, grows or length)

        def ask() -> int:
            row = row_now()
            return self._promised(but_not=row.id) + self._copies * (2 * row.length_bytes - row.received_bytes)

        return self._granted(size, 0, ask=ask, grows=(grows, 0))

    def for_joining(self, row: UploadRow) -> GrantedRoom:
        """For the object joined from all parts: written to the store's folder, or to a temporary file first."""
        length = row.length_bytes
        sizes = (0, length) if self._copies else (length, 0)
        return self._granted(*sizes, ask=lambda: self._promised(but_not=row.id))

    def free_bytes(self) -> dict[str, int]:
        """By disk: `temp`, and `store` where that is another one."""
        return {name: room.free_bytes() for name, room in self._rooms().items()}

    def promised_bytes(self) -> dict[str, int]:
        """As `free_bytes`: what was promised and is not written yet."""
        promised = {name: room.promised_bytes() for name, room in self._rooms().items()}
        promised[list(promised)[-1]] += self._promised()
        return promised

    def _rooms(self) -> dict[str, Room]:
        return {"temp": self._temp} | ({} if self._store is self._temp else {"store": self._store})

    def _granted(
        self,
        temp_bytes: int,
        store_bytes: int,
        *,
        ask: Callable[[], int] | None = None,
        grows: tuple[int, int] = (0, 0),
    ) -> GrantedRoom:
        also = ask or self._promised
        temp = self._temp.promise(temp_bytes, also=also)
        try:
            return GrantedRoom(temp, self._store.promise(store_bytes, also=also), ask=also, grows=grows)
        except BaseException:
            temp.close()
            raise

    def _promised(self, *, but_not: str | None = None) -> int:
        """To resumable uploads, whose parts and joined object are on the store's disk."""
        if not self._copies:
            return 0
        keep_seconds = self._platform.settings.keep_upload_hours * 3600
        return promised_bytes(self._platform.db, keep_seconds=keep_seconds, but_not=but_not)
