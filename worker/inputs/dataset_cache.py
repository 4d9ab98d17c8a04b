"""Prepared datasets on this machine, by fingerprint, shared by its workers.

<cache>/<fingerprint>/tree       appears whole, by a rename
<cache>/<fingerprint>/bytes      its size, for the bound
<cache>/<fingerprint>.lock       shared while in use, exclusive while made or evicted; its time is the last use
<cache>/private/<run>-<attempt>  a run's own tree: hard links to what is large, copies of all else
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import structlog

from core.storage.free_space import require_free
from core.storage.locked_files import locked
from pipeline.process.tar import CHECK_EVERY, unpack

RETRY_LOCK_SECONDS = 0.2

log = structlog.get_logger(__name__)


@contextmanager
def cached_tree(
    cache: Path,
    fingerprint: str,
    *,
    fetch: Callable[[Path], None],
    check: Callable[[], None],
    pause: Callable[[float], None],
    max_bytes: int,
) -> Iterator[Path]:
    """The tree of a prepared set, not evicted inside the block.

    `fetch(path)` brings the verified tar; it is called when the cache lacks the set. `check()` may raise while
    another worker of this machine is fetching it. Raises what they raise, and OSError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{fingerprint}.lock").open("a") as lock:
        while True:
            os.utime(lock.fileno())  # before it is shared: evicting takes the one used longest ago
            _share(lock, check, pause)
            if _is_there(cache, fingerprint):
                break
            _lock(lock, fcntl.LOCK_EX, check, pause)
            if not _is_there(cache, fingerprint):
                _add(cache, fingerprint, fetch, check)
                evict(cache, max_bytes=max_bytes)
            # From exclusive to shared is not atomic: another worker may evict it in between, so check again.
        yield cache / fingerprint / "tree"


@contextmanager
def private_tree(cache: Path, tree: Path, name: str, *, check: Callable[[], None]) -> Iterator[Path]:
    """A run's own tree. A training writes nothing into it; what a library may write would not reach other runs.

    Arrow files are only read (mapped into memory), and are read-only where they are linked.
    """
    private = cache / "private" / name
    shutil.rmtree(private, ignore_errors=True)
    try:
        _link_tree(tree, private, check)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def evict(cache: Path, *, max_bytes: int) -> list[str]:
    """Remove the sets used longest ago until the rest fits; never one in use. Returns their fingerprints."""
    return _evict_while(cache, lambda total: total > max_bytes)


def make_room(cache: Path, needed: int, *, reserve_bytes: int) -> None:
    """Evict sets until the disk has `needed` bytes free beside a reserve. Raises OutOfSpace."""
    _evict_while(cache, lambda _: shutil.disk_usage(cache).free < needed + reserve_bytes)
    require_free(cache, needed, reserve_bytes=reserve_bytes)


def _evict_while(cache: Path, is_wanted: Callable[[int], bool]) -> list[str]:
    """`is_wanted(total_bytes)` is called before each set."""
    locks = sorted(cache.glob("*.lock"), key=lambda path: path.stat().st_mtime)
    sizes = {path.stem: _size(cache, path.stem) for path in locks}
    total, evicted = sum(sizes.values()), []
    for path in locks:
        if not is_wanted(total):
            break
        if sizes[path.stem] and _evict_one(cache, path):
            total -= sizes[path.stem]
            evicted.append(path.stem)
            log.info("cache.evicted", fingerprint=path.stem, bytes=sizes[path.stem])
    return evicted


def _add(cache: Path, fingerprint: str, fetch: Callable[[Path], None], check: Callable[[], None]) -> None:
    partial = cache / f".{fingerprint[:16]}.{secrets.token_hex(8)}.part"
    partial.mkdir()
    try:
        with locked(partial):
            archive = partial / "dataset.tar"
            fetch(archive)
            (partial / "bytes").write_text(str(archive.stat().st_size), encoding="ascii")
            unpack(archive, partial / "tree", check=check)
            archive.unlink()
            partial.rename(cache / fingerprint)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _evict_one(cache: Path, lock_path: Path) -> bool:
    with lock_path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # in use
        gone = cache / f".{lock_path.stem[:16]}.{secrets.token_hex(8)}.part"
        (cache / lock_path.stem).rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _is_there(cache: Path, fingerprint: str) -> bool:
    return (cache / fingerprint / "tree").is_dir()


def _size(cache: Path, fingerprint: str) -> int:
    try:
        return int((cache / fingerprint / "bytes").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _share(lock: IO[str], check: Callable[[], None], pause: Callable[[float], None]) -> None:
    _lock(lock, fcntl.LOCK_SH, check, pause)


def _lock(lock: IO[str], how: int, check: Callable[[], None], pause: Callable[[float], None]) -> None:
    """Wait for a lock; `check` may raise to stop waiting."""
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            check()
            pause(RETRY_LOCK_SECONDS)


def _link_tree(tree: Path, private: Path, check: Callable[[], None]) -> None:
    images = tree / "images"
    for folder, _, names in os.walk(tree):
        source = Path(folder)
        target = private / source.relative_to(tree)
        target.mkdir(parents=True)
        of_images = source.is_relative_to(images)
        for number, name in enumerate(names):
            if number % CHECK_EVERY == 0:
                check()
            of_rows = name.endswith(".arrow")
            if of_rows:
                (source / name).chmod(0o444)  # a link has the rights of what it links to
            if of_images or of_rows:
                os.link(source / name, target / name)
            else:
                shutil.copyfile(source / name, target / name)
