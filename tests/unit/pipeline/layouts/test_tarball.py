"""A tar is written in threads: its bytes are those that were added, and an error of writing is raised."""

import errno
import tarfile
import threading
from pathlib import Path

import pytest

from pipeline.archive.byte_range import ByteRange
from pipeline.layouts.tarball import open_tar
from pipeline.process.child import RunCancelled

_MANY = 5 << 19  # bytes: more than one thread writes at once
SIZES = (0, 3, 511, 512, 1 << 16, (1 << 16) + 1, (1 << 19) - 1, 1 << 19, (1 << 19) + 1, _MANY)


def test_what_was_added_is_read_back(tmp_path: Path) -> None:
    content = bytes(range(256)) * (_MANY // 256) + b"end"
    source = tmp_path / "source"
    source.write_bytes(content)
    ticks: list[tuple[int, int]] = []
    with open_tar(tmp_path / "out.tar") as tar:
        first = tar.add("a", b"few")
        places = [tar.add_range(f"b{size}", ByteRange(str(source), 3, size)) for size in SIZES]
        written = tar.end(lambda *done: ticks.append(done))
    archived = (tmp_path / "out.tar").read_bytes()
    assert ticks[-1] == (len(SIZES), len(SIZES))
    assert len(archived) == written and archived[first : first + 3] == b"few"
    for at, size in zip(places, SIZES, strict=True):
        assert archived[at : at + size] == content[3 : 3 + size]
    with tarfile.open(tmp_path / "out.tar") as read:
        assert [(member.name, member.size) for member in read] == [("a", 3), *((f"b{size}", size) for size in SIZES)]


@pytest.mark.parametrize("size", [9, _MANY])
def test_a_file_that_ends_too_early_is_an_error(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size - 1))
    with pytest.raises(OSError, match="before"), open_tar(tmp_path / "out.tar") as tar:
        tar.add_range("a", ByteRange(str(source), 0, size))
        tar.end()


@pytest.mark.parametrize("size", [3, _MANY])
def test_a_full_disk_is_an_error(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    with pytest.raises(OSError) as error, open_tar(Path("/dev/full")) as tar:
        tar.add_range("a", ByteRange(str(source), 0, size))
        tar.end()
    assert error.value.errno == errno.ENOSPC


def test_a_file_may_change_once_it_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with open_tar(tmp_path / "out.tar") as tar:
        for number in range(3):
            source.write_bytes(bytes([number]) * _MANY)
            tar.add_range(str(number), ByteRange(str(source), 0, _MANY))
            tar.flush()
        tar.end()
    with tarfile.open(tmp_path / "out.tar") as read:
        contents = [file.read() for member in read if (file := read.extractfile(member))]
    assert contents == [bytes([number]) * _MANY for number in range(3)]


def test_who_waits_may_stop_it_and_its_thread_ends(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(_MANY))
    before = threading.active_count()
    ticks: list[tuple[int, int]] = []

    def tick(done: int, total: int) -> None:
        ticks.append((done, total))
        raise RunCancelled

    with pytest.raises(RunCancelled), open_tar(tmp_path / "out.tar") as tar:
        for number in range(6000):  # more than may wait
            tar.add_range(str(number), ByteRange(str(source), 0, 8 * tarfile.BLOCKSIZE))
        tar.end(tick)
    assert threading.active_count() == before and ticks[0][1] == 6000


def test_a_thread_that_does_not_start_is_an_error_and_no_other_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, start = threading.active_count(), threading.Thread.start
    started: list[threading.Thread] = []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError), open_tar(tmp_path / "out.tar"):
        pass
    assert started and threading.active_count() == before


def test_whatever_fails_in_a_thread_is_raised_and_nobody_waits_for_it(tmp_path: Path) -> None:
    class Unreadable(ByteRange):
        def read(self, most: int | None = None) -> bytes:  # noqa: ARG002 - as the original
            raise MemoryError

    with pytest.raises(MemoryError), open_tar(tmp_path / "out.tar") as tar:
        for number in range(10_000):
            tar.add_range(str(number), Unreadable("none", 0, 1))
