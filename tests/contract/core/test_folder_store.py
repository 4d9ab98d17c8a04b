"""The directory store: what a disk does to it."""

import os
from pathlib import Path

import pytest

from core.domain.errors import Unavailable
from core.settings import Settings
from core.storage import ObjectCorrupt, open_store
from core.storage.folder import FolderStore
from tests.builders.files import file_of
from tests.servers.small_disk import run_on_small_disk


def test_a_new_folder_is_made_ready(tmp_path: Path) -> None:
    assert FolderStore(tmp_path / "some" / "store").make_ready() is True and (tmp_path / "some" / "store").is_dir()


def test_bytes_changed_on_the_disk_are_found_by_a_fetch(tmp_path: Path) -> None:
    store = open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    store.put("model", file_of(tmp_path / "a", b"as it was"))
    path = tmp_path / "objects" / "model"
    stat = path.stat()
    path.write_bytes(b"as it is!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a failing disk changes bytes without changing the time

    with pytest.raises(ObjectCorrupt):
        store.fetch("model", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_put_killed_halfway_leaves_no_object(tmp_path: Path) -> None:
    """SIGKILL between writing the bytes and giving them their name."""
    store = open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    store.put("first", file_of(tmp_path / "a", b"x"))
    (tmp_path / "objects" / ".temp" / "half").write_bytes(b"half of an ob")

    assert [key for key, _ in store.list_prefix("")] == ["first"]


FILL_A_DISK = """
import sys
from pathlib import Path
from core.domain.errors import OutOfSpace
from core.settings import Settings
from core.storage import open_store
folder = Path(sys.argv[1])
store = open_store(Settings(store_url=(folder / "disk").as_uri()))
(folder / "large").write_bytes(bytes(2 * 1024**2))
(folder / "small").write_bytes(b"x")
try:
    store.put("large", folder / "large")
except OutOfSpace:
    assert store.head("large") is None
    assert store.put("small", folder / "small").bytes == 1
    print("full")
"""


def test_a_full_disk_is_out_of_space_and_leaves_room_for_less(tmp_path: Path) -> None:
    assert run_on_small_disk(tmp_path, FILL_A_DISK, megabytes=1) == "full\n"


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    store = open_store(Settings(store_url=(file_of(tmp_path / "file", b"") / "objects").as_uri()))

    with pytest.raises(Unavailable):
        store.probe()


def test_the_directory_has_no_links(tmp_path: Path) -> None:
    assert open_store(Settings(store_url=tmp_path.as_uri())).link("any", seconds=60, file_name="any") is None
