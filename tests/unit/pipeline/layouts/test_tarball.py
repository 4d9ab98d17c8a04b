"""The bytes of a tar are those that were added, however they were copied, and an error of writing is raised."""

import errno
import os
import tarfile
from pathlib import Path

import pytest

from pipeline.archive.byte_range import ByteRange
from pipeline.layouts.tarball import open_tar

_MANY = 5 << 19  # bytes: more than are read at once
SIZES = (0, 3, 511, 512, 1 << 16, (1 << 16) + 1, _MANY)


@pytest.fixture(params=["kernel", "refused", "missing"])
def copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the kernel; where the kernel refuses, as for files on two file systems; on a system without the call."""
    if request.param == "refused":
        monkeypatch.setattr(os, "copy_file_range", _refuse, raising=False)
    elif request.param == "missing":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    return str(request.param)


def _refuse(*_: int) -> int:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.usefixtures("copied")
def test_what_was_added_is_read_back(tmp_path: Path) -> None:
    content = bytes(range(256)) * (_MANY // 256) + b"end"
    source = tmp_path / "source"
    source.write_bytes(content)
    with open_tar(tmp_path / "out.tar") as tar:
        first = tar.add("a", b"few")
        places = [tar.add_range(f"b{size}", ByteRange(str(source), 3, size)) for size in SIZES]
        written = tar.end()
    archived = (tmp_path / "out.tar").read_bytes()
    assert len(archived) == written and archived[first : first + 3] == b"few"
    for at, size in zip(places, SIZES, strict=True):
        assert archived[at : at + size] == content[3 : 3 + size]
    with tarfile.open(tmp_path / "out.tar") as read:
        assert [(member.name, member.size) for member in read] == [("a", 3), *((f"b{size}", size) for size in SIZES)]


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("size", [9, _MANY])
def test_a_file_that_ends_too_early_is_an_error(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size - 1))
    with pytest.raises(OSError, match="before"), open_tar(tmp_path / "out.tar") as tar:
        tar.add_range("a", ByteRange(str(source), 0, size))


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("size", [3, _MANY])
def test_a_full_disk_is_an_error(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    with pytest.raises(OSError) as error, open_tar(Path("/dev/full")) as tar:
        tar.add_range("a", ByteRange(str(source), 0, size))
        tar.end()
    assert error.value.errno == errno.ENOSPC
