"""A temporary file of a request: it has room on the disk, is locked by this process, and is removed at the end."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from core.services.uploads.room import GrantedRoom
from core.settings import Settings
from core.storage.locked_files import lock_file, remove_leftovers
from core.storage.transfer import naming_full_disk

PREFIX = "upload-"


class TemporaryFile:
    """Used by one thread at a time. Every method may raise OutOfSpace, except `remove`."""

    def __init__(self, folder: Path, room: GrantedRoom) -> None:
        self.path = folder / f"{PREFIX}{uuid4().hex}.part"
        self._room = room
        try:
            with naming_full_disk(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("xb")
            lock_file(self._file)
        except BaseException:
            room.close()
            raise

    def write(self, data: bytes) -> None:
        self._room.take(len(data))
        with naming_full_disk(self.path.parent):
            self._file.write(data)

    def flush(self) -> None:
        with naming_full_disk(self.path.parent):
            self._file.flush()

    def begin_anew(self) -> None:
        """Another file, of the same path: a store may have taken the one that it was."""
        self.path.unlink(missing_ok=True)
        self._file.close()
        with naming_full_disk(self.path.parent):
            self._file = self.path.open("xb")
        lock_file(self._file)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # a full disk refuses the last bytes of a file that is deleted anyway
            self._file.close()
        self._room.close()


def remove_dead_files(settings: Settings) -> list[Path]:
    """Remove the temporary files of processes that died."""
    return remove_leftovers(settings.temp.glob(f"{PREFIX}*.part"))
