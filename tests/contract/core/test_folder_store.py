"""The directory store: what a disk does to it."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.domain.errors import Unavailable
from core.settings import Settings
from core.storage import ObjectCorrupt, StoredObject, open_store
from core.storage.folder import FolderStore
from tests import REPOSITORY
from tests.builders.files import file_of, sha256
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


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def test_a_taken_and_a_lent_file_are_the_object_read_only_and_without_a_copy(
    store: FolderStore, tmp_path: Path
) -> None:
    spool = file_of(tmp_path / "spool", b"bytes")
    spool.chmod(0o600)
    store.take("taken", spool)
    store.put("put", file_of(tmp_path / "a", b"others"))
    store.lend("put", tmp_path / "lent")

    for key, file in (("taken", spool), ("put", tmp_path / "lent")):
        found, lent = (tmp_path / "objects" / key).stat(), file.stat()
        assert (found.st_ino, found.st_nlink) == (lent.st_ino, 2)
        umask = int(next(x for x in Path("/proc/self/status").read_text().splitlines() if "Umask" in x).split()[1], 8)
        assert stat.S_IMODE(found.st_mode) == 0o444 & ~umask, "as readable as what the store writes itself"
    assert list((tmp_path / "objects" / ".temp").iterdir()) == []
    store.take("taken again", file_of(tmp_path / "b", b"bytes"))
    assert store.delete_prefix("taken") == 2


def test_an_object_changed_through_a_lent_file_is_found_by_its_digest(store: FolderStore, tmp_path: Path) -> None:
    """Rights to write do not bind root; a changed time or size makes the note of the digest void."""
    known = store.put("set", file_of(tmp_path / "a", b"as it was"))
    store.lend("set", tmp_path / "lent")
    (tmp_path / "lent").chmod(0o600)
    (tmp_path / "lent").write_bytes(b"as it is!")

    now = store.head("set")
    assert now == store.lend("set", tmp_path / "again") == StoredObject("set", 9, sha256(b"as it is!"))
    assert now.sha256 != known.sha256, "what a row says"


def test_a_damaged_object_is_not_lent(store: FolderStore, tmp_path: Path) -> None:
    store.put("set", file_of(tmp_path / "a", b"as it was"))
    path = tmp_path / "objects" / "set"
    before = path.stat()
    path.write_bytes(b"as it is!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(ObjectCorrupt):
        store.lend("set", file_of(tmp_path / "lent", b"kept"))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a", "lent"]
    assert (tmp_path / "lent").read_bytes() == b"kept" and path.stat().st_nlink == 1


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_no_link_is_possible_bytes_are_copied(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    inside, link = str(tmp_path / "objects"), os.link

    def linked_within(source: Path, target: Path) -> None:
        if not (str(source).startswith(inside) and str(target).startswith(inside)):
            raise OSError(code, os.strerror(code))
        link(source, target)

    monkeypatch.setattr(os, "link", linked_within)
    file = file_of(tmp_path / "a", b"bytes")

    assert store.take("a/b", file, sha256=sha256(b"bytes")) == store.lend("a/b", tmp_path / "b")
    with pytest.raises(ObjectCorrupt):
        store.take("c", file_of(tmp_path / "c", b"c"), sha256=sha256(b"d"))
    files = (file, tmp_path / "b", tmp_path / "objects" / "a" / "b")
    assert len({path.stat().st_ino for path in files}) == 3
    assert {path.read_bytes() for path in files} == {b"bytes"}
    (tmp_path / "b").write_bytes(b"mine")  # a copy, as after a fetch
    assert list((tmp_path / "objects" / ".temp").iterdir()) == []


def test_a_name_that_leads_elsewhere_is_copied(store: FolderStore, tmp_path: Path) -> None:
    """A process that left a symbolic or another hard link might write to its file."""
    file = file_of(tmp_path / "a", b"bytes")
    (tmp_path / "symbolic").symlink_to(file)
    assert store.take("symbolic", tmp_path / "symbolic").sha256 == sha256(b"bytes")
    (tmp_path / "hard").hardlink_to(file)
    store.take("hard", tmp_path / "hard")
    file.write_bytes(b"other")
    assert [b"".join(store.open(key)) for key in ("symbolic", "hard")] == [b"bytes"] * 2
    assert not (tmp_path / "objects" / "symbolic").is_symlink()


KILLED_AFTER_ITS_LINK = """
import os, signal, sys
from pathlib import Path
from core.storage.folder import FolderStore
FolderStore._write_note = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
FolderStore(Path(sys.argv[1], "objects")).take("set", Path(sys.argv[1], "a"))
"""


def test_a_take_that_is_killed_before_its_note_has_left_a_whole_object(store: FolderStore, tmp_path: Path) -> None:
    file = file_of(tmp_path / "a", b"bytes")
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_ITS_LINK, str(tmp_path)], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL

    assert store.head("set") == StoredObject("set", 5, sha256(b"bytes")) == store.take("set", file)
    (left,) = (tmp_path / "objects" / ".temp").iterdir()
    os.utime(left, (1, 1))
    FolderStore(tmp_path / "objects").put("next", file_of(tmp_path / "b", b"x"))
    assert not left.exists() and file.read_bytes() == b"bytes", "the name that it left is removed, not the file"


TAKE_AND_LEND_ELSEWHERE = """
import sys
from pathlib import Path
from core.domain.errors import OutOfSpace
from core.storage.folder import FolderStore
folder = Path(sys.argv[1])
store = FolderStore(folder / "disk" / "objects")
(folder / "large").write_bytes(bytes(2 * 1024**2))
(folder / "small").write_bytes(b"x")
try:
    store.take("large", folder / "large")
except OutOfSpace:
    store.take("small", folder / "small")
    store.lend("small", folder / "lent")
    (folder / "disk" / "full").write_bytes(bytes(700 * 1024))
    store.take("full", folder / "disk" / "full")
    store.lend("full", folder / "disk" / "lent")
    print((folder / "lent").read_text(), store.head("large"), (folder / "disk" / "lent").stat().st_nlink)
"""


def test_a_file_of_another_disk_is_copied_and_one_of_the_same_needs_no_room(tmp_path: Path) -> None:
    assert run_on_small_disk(tmp_path, TAKE_AND_LEND_ELSEWHERE, megabytes=1) == "x None 3\n"


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    store = open_store(Settings(store_url=(file_of(tmp_path / "file", b"") / "objects").as_uri()))

    with pytest.raises(Unavailable):
        store.probe()


def test_the_directory_has_no_links(tmp_path: Path) -> None:
    assert open_store(Settings(store_url=tmp_path.as_uri())).link("any", seconds=60, file_name="any") is None
