"""A preparation that ends while its archive is still being extracted: nothing of it stays behind."""

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.child import Channel, RunCancelled
from pipeline.process.progress import StageReporter
from pipeline.process.results import Rejection
from pipeline.process.specs import PrepareSpec
from tests.builders.decode_work import servers
from tests.builders.voc import image_bytes, voc_files, zip_files

IMAGES = 300  # some batches of an extraction, and more than the decoders have done by its end


class CancelledWhileExtracting(StageReporter):
    """Cancels when the first images are extracted and are being decoded."""

    def __init__(self, line: Channel) -> None:
        super().__init__(line)
        self.channel = line
        self.at = ""

    def stage(self, name: str) -> None:
        self.at = name
        super().stage(name)

    def tick(self, done: int, total: int) -> None:
        if self.at == "extracting" and done:
            self.channel.cancelled.set()
        super().tick(done, total)


def test_a_cancel_in_the_middle_of_extracting_leaves_no_thread_process_or_file(tmp_path: Path) -> None:
    archive, out = _archive(tmp_path), tmp_path / "out"
    out.mkdir()
    line = Channel(out)
    steps = CancelledWhileExtracting(line)
    with _nothing_left(tmp_path), pytest.raises(RunCancelled):
        prepare(_spec(archive, out), steps)
    assert steps.at == "extracting"
    line.close()
    assert [path.name for path in out.iterdir()] == ["progress.jsonl"]


def test_an_entry_found_broken_while_extracting_leaves_no_thread_process_or_file(tmp_path: Path) -> None:
    archive, out = _archive(tmp_path), tmp_path / "out"
    _damage_last_entry(archive)
    out.mkdir()
    with _nothing_left(tmp_path):
        result = prepare(_spec(archive, out), StageReporter())
    assert isinstance(result, Rejection)
    assert result.problem.slug == "archive-refused"
    assert result.findings["archive-checksum"]["count"] == 1
    assert sorted(path.name for path in out.iterdir()) == ["findings.jsonl", "result.json"]
    (finding,) = [json.loads(text) for text in (out / "findings.jsonl").read_text().splitlines()]
    assert finding["path"] == "images/z.jpg"


def _archive(tmp_path: Path) -> Path:
    files = voc_files(images=12)
    files |= {f"images/more{number:03d}.jpg": image_bytes(size=(640, 480), seed=number) for number in range(IMAGES)}
    return zip_files(
        tmp_path / "data.zip", files | {"images/z.jpg": image_bytes(seed=-1)}, compression=zipfile.ZIP_STORED
    )


def _damage_last_entry(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        entry = opened.infolist()[-1]
    content = bytearray(archive.read_bytes())
    content[entry.header_offset + 30 + len(entry.filename) + 100] ^= 1  # a byte of its image
    archive.write_bytes(content)


def _spec(archive: Path, out: Path) -> PrepareSpec:
    return PrepareSpec(archive=archive, out=out, options=PrepareOptions(), processes=2)


@contextmanager
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    threads, children = set(threading.enumerate()), set(_children())
    yield
    assert set(threading.enumerate()) <= threads
    new = set(_children()) - children
    assert psutil.wait_procs(new, timeout=2)[1] == []  # killed, and reaped a moment later
    kept = [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
    assert [path for path in kept if not path.endswith("progress.jsonl")] == []


def _children() -> list[psutil.Process]:
    """Without the servers of decoding processes, which live as long as this process; but what they started."""
    kept = servers()
    return [each for each in psutil.Process().children(recursive=True) if each not in kept]
