"""The cache of prepared sets: fetched once, never half there, never evicted in use."""

import fcntl
import os
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.domain.errors import OutOfSpace
from core.storage import ObjectCorrupt
from worker.inputs.dataset_cache import cached_tree, evict, make_room, private_tree

FIRST, SECOND = "a" * 64, "b" * 64


def tar_of(folder: Path, *, bytes_each: int = 1000) -> Path:
    for name in ("images/train/0.jpg", "labels/train/0.txt", "data.yaml", "data/train/data-00000-of-00001.arrow"):
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * bytes_each)
    with tarfile.open(folder / "set.tar", "w") as tar:
        tar.add(folder / "tree", arcname="")
    return folder / "set.tar"


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[Path], None]:
    content = tar_of(tmp_path).read_bytes()
    return lambda target: target.write_bytes(content) and None


def tree_in(
    cache: Path, fingerprint: str, fetch: Callable[[Path], None], *, max_bytes: int = 10**9
) -> AbstractContextManager[Path]:
    return cached_tree(cache, fingerprint, fetch=fetch, check=lambda: None, pause=time.sleep, max_bytes=max_bytes)


def test_a_set_is_fetched_once_and_by_one_of_many(tmp_path: Path, fetch: Callable[[Path], None]) -> None:
    fetched: list[Path] = []

    def slowly(target: Path) -> None:
        fetched.append(target)
        time.sleep(0.3)
        fetch(target)

    def use() -> None:
        with tree_in(tmp_path / "cache", FIRST, slowly) as tree:
            assert (tree / "data.yaml").exists()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_a_failed_fetch_leaves_nothing_behind(tmp_path: Path, fetch: Callable[[Path], None]) -> None:
    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise ObjectCorrupt("x")

    with pytest.raises(ObjectCorrupt), tree_in(tmp_path / "cache", FIRST, fail):
        pass
    assert os.listdir(tmp_path / "cache") == [f"{FIRST}.lock"]
    with tree_in(tmp_path / "cache", FIRST, fetch) as tree:
        assert tree.is_dir()


def test_the_set_used_longest_ago_goes_first_and_one_in_use_never(
    tmp_path: Path, fetch: Callable[[Path], None]
) -> None:
    cache = tmp_path / "cache"
    with tree_in(cache, FIRST, fetch) as first:
        with tree_in(cache, SECOND, fetch, max_bytes=1):
            assert first.is_dir(), "in use"
        assert evict(cache, max_bytes=1) == [SECOND]
        assert first.is_dir()
    assert evict(cache, max_bytes=1) == [FIRST]
    assert not first.exists()


def test_a_run_writes_into_its_own_tree_only(tmp_path: Path, fetch: Callable[[Path], None]) -> None:
    cache = tmp_path / "cache"
    with tree_in(cache, FIRST, fetch) as tree, private_tree(cache, tree, "run_x-1", check=lambda: None) as private:
        image, label = Path("images/train/0.jpg"), Path("labels/train/0.txt")
        assert (private / image).stat().st_ino == (tree / image).stat().st_ino, "no copy of the images"
        (private / label).write_text("changed")
        (private / "labels/train.cache").write_text("new")
        (private / "repaired.jpg").write_bytes(b"repaired")
        os.replace(private / "repaired.jpg", private / image)
        assert (tree / label).read_bytes() == b"x" * 1000 == (tree / image).read_bytes()
        assert not (tree / "labels/train.cache").exists()
    assert not private.exists()


def test_a_run_reads_the_rows_of_the_cache_itself_and_cannot_change_them(
    tmp_path: Path, fetch: Callable[[Path], None]
) -> None:
    cache = tmp_path / "cache"
    with tree_in(cache, FIRST, fetch) as tree, private_tree(cache, tree, "run_x-1", check=lambda: None) as private:
        rows = Path("data/train/data-00000-of-00001.arrow")
        assert (private / rows).stat().st_ino == (tree / rows).stat().st_ino
        assert (private / rows).stat().st_mode & 0o777 == 0o444
        (private / "data/train/cache-1.arrow").write_bytes(b"what a library keeps")
    assert not private.exists() and not (tree / "data/train/cache-1.arrow").exists()
    assert evict(cache, max_bytes=0) == [FIRST]


def test_waiting_for_another_worker_s_fetch_can_be_cancelled(tmp_path: Path, fetch: Callable[[Path], None]) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()

    def check() -> None:
        raise InterruptedError

    with (cache / f"{FIRST}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = cached_tree(cache, FIRST, fetch=fetch, check=check, pause=time.sleep, max_bytes=1)
        with pytest.raises(InterruptedError), waiting:
            pass


def test_a_tar_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    def hostile(target: Path) -> None:
        (tmp_path / "evil").write_text("evil")
        with tarfile.open(target, "w") as tar:
            tar.add(tmp_path / "evil", arcname="../../../evil-landed")

    with pytest.raises(tarfile.TarError), tree_in(tmp_path / "cache", FIRST, hostile):
        pass
    assert not list(tmp_path.rglob("evil-landed"))


def test_a_full_disk_gets_room_from_the_sets_that_are_not_in_use(
    tmp_path: Path, fetch: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for fingerprint in (FIRST, SECOND):
        with tree_in(cache, fingerprint, fetch):
            pass

    def usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=100 if len(sets_in(folder)) > 1 else 900)

    monkeypatch.setattr("shutil.disk_usage", usage)
    make_room(cache, 500, reserve_bytes=400)
    assert sets_in(cache) == [SECOND], "used last"

    with tree_in(cache, SECOND, fetch), pytest.raises(OutOfSpace):
        make_room(cache, 500, reserve_bytes=401)
    assert sets_in(cache) == [SECOND]


def sets_in(cache: Path) -> list[str]:
    return sorted(path.parent.name for path in cache.glob("*/tree"))
