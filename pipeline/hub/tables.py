"""The rows of parquet files, a few at a time: the bytes of an image, and the name of its class."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from core.domain.errors import HubSetUnusable
from pipeline.hub.columns import Columns, Names, columns_of

BATCH_BYTES, BATCH_ROWS = 64 * 1024**2, 64  # of images in memory, about
_LABELS_AT_ONCE = 10_000
GROUP_BYTES = 1024**3  # a row group inflated, by its own word; `datasets` writes some 100 MB
_FOOTER_STRINGS, _FOOTER_ITEMS = 64 * 1024**2, 10_000_000  # what a footer may make the reader allocate

# Of an OSError: Arrow's own have no number, and an offset that is no offset is the table's.
_OF_THE_DATA = (None, errno.EINVAL, errno.EOVERFLOW)

Row = tuple[bytes | None, str | None]


class Table:
    """One parquet file, open inside the context. Raises HubSetUnusable for what is none, and for one without images
    and labels; OSError for what the machine does not give: files, room, its disk."""

    def __init__(self, path: Path, name: str, card: Names, *, image: str | None, label: str | None) -> None:
        self._name = name
        with _blaming(name):
            self._file = pq.ParquetFile(
                path,
                pre_buffer=False,
                buffer_size=1024**2,
                thrift_string_size_limit=_FOOTER_STRINGS,
                thrift_container_size_limit=_FOOTER_ITEMS,
            )
        try:
            with _blaming(name):
                self.columns = columns_of(self._file.schema_arrow, card, image=image, label=label)
            self._require_small_groups()
        except BaseException:
            self._file.close()
            raise
        self.rows = int(self._file.metadata.num_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> Iterator[Row]:
        """Image and class of each row, None for what it lacks."""
        wanted = [self.columns.image, self.columns.label]
        with _blaming(self._name):
            for batch in self._file.iter_batches(self._rows_at_once(), columns=wanted, use_threads=False):
                images, labels = batch.column(self.columns.image), batch.column(self.columns.label)
                for image, label in zip(images, labels, strict=True):
                    yield _bytes_of(image.as_py()), self.columns.class_of(label.as_py())

    def labels(self) -> Iterator[str]:
        """Each class name that is there, where the labels are texts."""
        with _blaming(self._name):
            for batch in self._file.iter_batches(_LABELS_AT_ONCE, columns=[self.columns.label], use_threads=False):
                for label in batch.column(self.columns.label).unique().to_pylist():
                    if (name := self.columns.class_of(label)) is not None:
                        yield name

    def _rows_at_once(self) -> int:
        """By the row group with the largest rows."""
        largest = max((group.total_byte_size // max(1, group.num_rows) for group in self._groups()), default=0)
        return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, largest)))

    def _groups(self) -> Iterator[Any]:
        return (self._file.metadata.row_group(number) for number in range(self._file.metadata.num_row_groups))

    def _require_small_groups(self) -> None:
        for group in self._groups():
            size = group.total_byte_size
            if size > GROUP_BYTES:
                detail = f"{self._name} has a row group of {size} bytes; at most {GROUP_BYTES} are read at once."
                raise HubSetUnusable(detail, bytes=size, limit_bytes=GROUP_BYTES)


def same_classes(first: Columns, other: Columns) -> bool:
    return (first.names is None) == (other.names is None) and list(first.names or ()) == list(other.names or ())


def _bytes_of(value: Any) -> bytes | None:
    """Of an image feature, {bytes, path}, or of a plain binary column. Nothing is ever fetched from a `path`."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) and content else None


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """What Arrow cannot read is the data's fault; what the system refuses (EMFILE, EIO, ENOSPC) is not."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_DATA:
            raise
        raise HubSetUnusable(f"{name} is no parquet file that can be read: {str(error)[:200]}", file=name) from error
