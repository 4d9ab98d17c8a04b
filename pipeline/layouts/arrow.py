"""Where the images lie in an Arrow file of the layout huggingface: read from the file, whose pages are mapped."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class ArrowRow(NamedTuple):
    """An image of `bytes` bytes from `at` on in the file."""

    path: str
    at: int
    bytes: int


def arrow_rows(file: Path, *, start: int = 0) -> Iterator[ArrowRow]:
    """The rows of the Arrow stream that begins at `start`, in their order; `at` counts from the file's own begin.

    Of the images themselves nothing is read. Raises pyarrow.ArrowException for what is no such stream.
    """
    import pyarrow as pa

    with pa.memory_map(str(file)) as mapped:
        begin = mapped.read_buffer(1).address  # buffers are parts of the mapped file: a difference of addresses is `at`
        mapped.seek(start)
        with pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                contents = batch.column("image").field("bytes")
                _, offsets, values = contents.buffers()
                ends = memoryview(offsets).cast("i")[contents.offset : contents.offset + len(batch) + 1]
                base = values.address - begin
                for number, path in enumerate(batch.column("path").to_pylist()):
                    yield ArrowRow(path, base + ends[number], ends[number + 1] - ends[number])
