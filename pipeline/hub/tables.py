"""Reads the rows of parquet files in small batches: the bytes of an image and the name of its class."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from core.domain.errors import HubSetUnusable
from pipeline.hub.columns import Columns, Names, columns_of

BATCH_BYTES, BATCH_ROWS = 64 * 1024**2, 64  # of images in memory, about
_LABELS_AT_ONCE = 10_000
GROUP_BYTES = 1024**3  # declared size of a row group, uncompressed; `datasets` writes about 100 MB
_FOOTER_STRINGS, _FOOTER_ITEMS = 64 * 1024**2, 10_000_000  # limits of what the reader allocates for a footer

# OSErrors caused by the data: those of Arrow have no errno, and an invalid offset is an error of the table.
_DATA_ERRORS = (None, errno.EINVAL, errno.EOVERFLOW)

TableRow = tuple[bytes | None, str | None]


class ParquetFile:
    """A parquet file on a disk, or a range of one, open inside the context. One batch of rows is in memory at a time.

    Raises HubSetUnusable for a file that is not parquet, also while it is read; OSError where the machine lacks file
    descriptors, space or a working disk.
    """

    def __init__(self, file: Path | BinaryIO, name: str) -> None:
        self.name = name
        with attributing(name):
            self._file = pq.ParquetFile(
                file,
                pre_buffer=False,
                buffer_size=1024**2,
                thrift_string_size_limit=_FOOTER_STRINGS,
                thrift_container_size_limit=_FOOTER_ITEMS,
            )
        try:
            with attributing(name):
                self.schema = self._file.schema_arrow
            self._require_small_groups()
        except BaseException:
            self.close()
            raise
        self.rows = int(self._file.metadata.num_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def batches(self, columns: Sequence[str], most: int | None = None) -> Iterator[pa.RecordBatch]:
        """None spans two row groups. `most`: rows in each; by default as many as the images of the largest allow."""
        count = most or self._rows_at_once()
        with attributing(self.name):
            for group in range(self._file.metadata.num_row_groups):
                yield from self._file.iter_batches(count, row_groups=[group], columns=list(columns), use_threads=False)

    def _rows_at_once(self) -> int:
        """By the largest average row size of any row group."""
        largest = max((group.total_byte_size // max(1, group.num_rows) for group in self._groups()), default=0)
        return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, largest)))

    def _groups(self) -> Iterator[Any]:
        return (self._file.metadata.row_group(number) for number in range(self._file.metadata.num_row_groups))

    def _require_small_groups(self) -> None:
        for group in self._groups():
            size = group.total_byte_size
            if size > GROUP_BYTES:
                detail = f"{self.name} has a row group of {size} bytes; the limit is {GROUP_BYTES}."
                raise HubSetUnusable(detail, bytes=size, limit_bytes=GROUP_BYTES)


class ParquetTable(ParquetFile):
    """One with a column of images and one of classes. Raises HubSetUnusable where it has none, as ParquetFile too."""

    def __init__(self, path: Path, name: str, card: Names, *, image: str | None, label: str | None) -> None:
        super().__init__(path, name)
        try:
            with attributing(name):
                self.columns = columns_of(self.schema, card, image=image, label=label)
        except BaseException:
            self.close()
            raise

    def read(self) -> Iterator[TableRow]:
        """(image, class) of each row; None for a missing one."""
        for batch in self.batches([self.columns.image, self.columns.label]):
            images, labels = batch.column(self.columns.image), batch.column(self.columns.label)
            for image, label in zip(images, labels, strict=True):
                yield bytes_of(image.as_py()), self.columns.class_of(label.as_py())

    def labels(self) -> Iterator[str]:
        """Yields the class names of text labels; a name may occur more than once."""
        for batch in self.batches([self.columns.label], _LABELS_AT_ONCE):
            for label in batch.column(self.columns.label).unique().to_pylist():
                if (name := self.columns.class_of(label)) is not None:
                    yield name


def same_classes(first: Columns, other: Columns) -> bool:
    return (first.names is None) == (other.names is None) and list(first.names or ()) == list(other.names or ())


def bytes_of(value: Any) -> bytes | None:
    """From an image feature, {bytes, path}, or a binary column. A `path` is never opened or fetched."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) and content else None


@contextmanager
def attributing(name: str) -> Iterator[None]:
    """Errors of Arrow become HubSetUnusable; those of the system (EMFILE, EIO, ENOSPC) are raised as they are."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _DATA_ERRORS:
            raise
        raise HubSetUnusable(f"{name} cannot be read as parquet: {str(error)[:200]}", file=name) from error
