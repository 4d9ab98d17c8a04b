"""Reads the rows of one parquet file of a dataset: the bytes of an image, its path and size, its boxes or its class."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from core.domain.limits import MAX_BOXES_PER_IMAGE
from pipeline.hub.dataset_columns import DatasetColumns, ObjectColumn
from pipeline.hub.tables import ParquetFile, bytes_of

_MAX_LABEL = 1000  # characters: a name that is longer than the longest that is accepted stays so
_MAX_OF_BOX = 16  # values; a box has 4

Label = int | str | None


class RowRefused(Exception):
    """The row holds more than is accepted: no more is read. `row`: 1-based, in its file."""

    def __init__(self, code: str, detail: str, row: int) -> None:
        self.code, self.detail, self.row = code, detail, row
        super().__init__(detail)


class RowObject(NamedTuple):
    """`label`: as the table has it. `box`: left, top, width, height as the table has them, None for what is no list."""

    label: Label
    box: list[Any] | None
    difficult: bool
    crowd: bool


class Row(NamedTuple):
    """`number`: 1-based. `image` None: it has none. `label`: of the whole image."""

    number: int
    image: bytes | None
    path: str | None
    size: tuple[int, int] | None
    label: Label
    objects: list[RowObject]


def read_rows(file: ParquetFile, columns: DatasetColumns) -> Iterator[Row]:
    """Raises RowRefused, HubSetUnusable for what is no parquet, MemoryError, OSError."""
    number = 0
    for batch in file.batches(columns.all):
        objects = columns.objects
        if objects is not None:
            _require_few(batch.column(objects.name), objects, number)
        cells = {name: batch.column(name) for name in columns.all}
        for at in range(batch.num_rows):
            number += 1
            row = {name: column[at].as_py() for name, column in cells.items()}
            yield _row(number, row, columns)


def _require_few(column: pa.Array, objects: ObjectColumn, before: int) -> None:
    """Before they become objects of Python: a page of a few bytes may hold a hundred million of them."""
    boxes = column if objects.is_list else column.field(objects.box)
    counts = pc.list_value_length(boxes)
    most = pc.max(counts).as_py() or 0
    if most > MAX_BOXES_PER_IMAGE:
        row = before + 1 + pc.index(counts, most).as_py()
        detail = f"The row has {most} boxes; at most {MAX_BOXES_PER_IMAGE} are accepted."
        raise RowRefused("boxes-too-many", detail, row)
    inner = boxes.flatten()
    values = inner.field(objects.box) if objects.is_list else inner
    if (longest := pc.max(pc.list_value_length(values)).as_py() or 0) > _MAX_OF_BOX:
        raise RowRefused("parquet-invalid", f"A box has {longest} numbers instead of four.", before + 1)


def _row(number: int, row: Mapping[str, Any], columns: DatasetColumns) -> Row:
    cell = row[columns.image]
    inner = cell.get("path") if isinstance(cell, dict) else None
    stated = row.get(columns.path) if columns.path else None
    path = next((text for text in (stated, inner) if isinstance(text, str) and text), None)
    size = tuple(row[name] for name in columns.size) if columns.size else ()
    whole = all(isinstance(side, int) and side > 0 for side in size)
    return Row(
        number=number,
        image=bytes_of(cell),
        path=path,
        size=(size[0], size[1]) if size and whole else None,
        label=_label(row[columns.label]) if columns.label else None,
        objects=list(_objects(row[columns.objects.name], columns.objects)) if columns.objects else [],
    )


def _objects(cell: Any, column: ObjectColumn) -> Iterator[RowObject]:
    """Lists of unequal lengths are filled with None: what is missing is reported with its row."""
    if column.is_list:
        records = [each if isinstance(each, dict) else {} for each in cell or []]
    else:
        lists = {name: values for name, values in (cell or {}).items() if isinstance(values, list)}
        count = max((len(lists.get(name) or []) for name in (column.box, column.label) if name), default=0)
        records = [{name: values[at] for name, values in lists.items() if at < len(values)} for at in range(count)]
    for record in records:
        box = record.get(column.box)
        yield RowObject(
            label=_label(record.get(column.label)) if column.label else None,
            box=box if isinstance(box, list) else None,
            difficult=bool(record.get(column.difficult)) if column.difficult else False,
            crowd=bool(record.get(column.crowd)) if column.crowd else False,
        )


def _label(value: Any) -> Label:
    if isinstance(value, str):
        return value[:_MAX_LABEL]
    return value if isinstance(value, int) and not isinstance(value, bool) else None
