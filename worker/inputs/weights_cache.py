"""What was fetched into the weights folder from a hub: bounded in size, the ones used longest ago evicted first.

Beside each file or folder from a hub lies `.<name>.fetched`: its time is that of the last use, and a run
locks it while it uses the weights. What an operator put into the folder has none, and is never evicted.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from core.domain.errors import OutOfSpace
from core.storage.free_space import require_free

log = structlog.get_logger(__name__)


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """These weights are not evicted inside the block. Check then that they still exist."""
    note = _note(path)
    if not note.exists():
        yield
        return
    with note.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock.fileno())
        yield


def note_fetched(path: Path) -> None:
    """To be called before the weights get this name: from then on they may be evicted."""
    _note(path).touch()


def make_room(folder: Path, needed: int, *, max_bytes: int, reserve_bytes: int) -> None:
    """Evict weights from a hub until `needed` more bytes fit into the bound and on the disk. Raises OutOfSpace."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = _sizes_by_last_use(folder)
    for note in list(sizes):
        if sum(sizes.values()) + needed <= max_bytes and shutil.disk_usage(folder).free >= needed + reserve_bytes:
            return
        if _evict(note):
            log.info("weights.evicted", name=_weights(note).name, bytes=sizes.pop(note))
    used = sum(sizes.values())
    if used + needed > max_bytes:
        raise OutOfSpace(
            f"The weights have {needed} bytes; {used} of at most {max_bytes} (DARKROOM_WEIGHTS_MAX_BYTES) are in use.",
            needed_bytes=needed,
            limit_bytes=max_bytes,
        )
    require_free(folder, needed, reserve_bytes=reserve_bytes)


def _sizes_by_last_use(folder: Path) -> dict[Path, int]:
    """Note -> bytes, the one used longest ago first, without what another worker evicts at this moment."""
    found = []
    for note in folder.glob(".*.fetched"):
        if not _weights(note).exists():  # about to get their name
            continue
        with suppress(FileNotFoundError):
            found.append((note.stat().st_mtime, note, _size(_weights(note))))
    return {note: size for _, note, size in sorted(found)}


def _evict(note: Path) -> bool:
    """False: a run uses them."""
    with note.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with tempfile.TemporaryDirectory(prefix=".evicted-", suffix=".part", dir=note.parent) as gone:
            with suppress(FileNotFoundError):
                _weights(note).rename(Path(gone) / "weights")  # at once: no one finds half of them
            note.unlink(missing_ok=True)
    return True


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.fetched")


def _weights(note: Path) -> Path:
    return note.with_name(note.name.removeprefix(".").removesuffix(".fetched"))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
