"""A tar is hashed and written in threads: its bytes are those that were added, and an error of writing is raised."""

import errno
import hashlib
import tarfile
import threading
from pathlib import Path

import pytest

from pipeline.archive.byte_range import ByteRange
from pipeline.layouts.tarball import open_tar

_MANY = 5 << 19  # bytes: more blocks than there are buffers


def test_what_was_added_is_hashed_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * (_MANY // 256) + b"end")
    with open_tar(tmp_path / "out.tar") as tar:
        tar.add("a", b"few")
        at = tar.add_range("b", ByteRange(str(source), 3, _MANY))
        digest = tar.end()
    content = (tmp_path / "out.tar").read_bytes()
    assert (digest.bytes, digest.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert content[at : at + _MANY] == source.read_bytes()[3:]
    with tarfile.open(tmp_path / "out.tar") as read:
        assert [(member.name, member.size) for member in read] == [("a", 3), ("b", _MANY)]


@pytest.mark.parametrize("size", [3, _MANY])
def test_a_full_disk_is_an_error_and_ends_the_threads(size: int) -> None:
    before = threading.active_count()
    with pytest.raises(OSError) as error, open_tar(Path("/dev/full")) as tar:
        tar.add("a", bytes(size))
        tar.end()
    assert error.value.errno == errno.ENOSPC
    assert threading.active_count() == before
