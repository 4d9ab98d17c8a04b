"""`python -m pipeline.hub.unpack_process spec.json`: tables of an upload become a ZIP of images and JSON Lines.

A process of its own, with limits: a hostile table ends it, and nothing else. `pipeline.hub.uploaded_tables` starts it.
"""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from core.domain.errors import HubSetUnusable, OutOfSpace
from core.domain.limits import MAX_CLASSES, MAX_IMAGE_BYTES
from pipeline.archive.disk_space import require_space
from pipeline.archive.plural import counted
from pipeline.formats.class_order import CLASS_ORDER
from pipeline.formats.parquet_rows import EXPORT, ROWS_FILE, SCHEMA
from pipeline.hub.card import MAX_CARD_BYTES, card_in
from pipeline.hub.dataset_columns import DatasetColumns, dataset_columns
from pipeline.hub.files import HubFile, names_of_card, select_tables
from pipeline.hub.image_paths import ImagePaths
from pipeline.hub.table_rows import Row, RowRefused, read_rows
from pipeline.hub.tables import ParquetFile
from pipeline.hub.to_zip import ImageZip, image_suffix
from pipeline.hub.unpack_spec import FULL, NO_IMAGES, OK, REFUSED, Refusal, TableFile, UnpackSpec
from pipeline.params.hub_set import SPLIT_FOLDERS
from pipeline.process.disk_full import is_full_disk

MEMORY_BYTES = 6 * 1024**3  # address space: a row group inflated, its packed bytes, libraries
_STEP = 1024**3  # bytes of images between two looks at the disk
_MAX_NAME = 1000  # characters of a class


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.detail)


class _NoImages(Exception):
    """The first table has no column of images: it is that of something else."""


def main() -> int:
    """Returns OK: the ZIP is written; else `result` says why not, or FULL: the disk is full."""
    spec = UnpackSpec.model_validate_json(Path(sys.argv[1]).read_bytes())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        unpack(spec)
    except _Refused as refused:
        return _refuse(spec, refused.refusal, REFUSED)
    except _NoImages as missing:
        return _refuse(spec, Refusal(code="parquet-invalid", path=spec.tables[0].entry, detail=str(missing)), NO_IMAGES)
    except MemoryError:
        detail = f"Reading it takes more memory than is allowed ({MEMORY_BYTES} bytes)."
        return _refuse(spec, Refusal(code="parquet-invalid", path=spec.tables[0].entry, detail=detail), REFUSED)
    except OutOfSpace:
        return FULL
    except OSError as error:
        if is_full_disk(error):
            return FULL
        raise
    return OK


def _refuse(spec: UnpackSpec, refusal: Refusal, status: int) -> int:
    spec.result.write_text(refusal.model_dump_json())
    return status


def unpack(spec: UnpackSpec) -> None:
    """Writes `spec.target`, which is whole where this returns."""
    card, class_of_card = _card(spec)
    by_name = {table.name: table for table in spec.tables}
    with _blaming(spec.readme or spec.tables[0]):
        selected = select_tables([HubFile(name) for name in by_name], card)
    tables = [(SPLIT_FOLDERS[each.split], by_name[each.file.name]) for each in selected]
    if not tables:
        raise _Refused(_refusal(spec.tables[0], "No file names train, validation or test, and others name a part."))
    columns = _columns(tables, class_of_card)
    used = {table.entry for _, table in tables}
    rows = spec.target.with_name("rows.jsonl")
    with ImageZip(spec.target, spec.max_bytes) as archive, rows.open("w", encoding="utf-8") as lines:
        first = columns[0]
        head = {
            "schema": SCHEMA,
            "kind": first.kind,
            "classes": None if first.names is None else [name[:_MAX_NAME] for name in first.names],
            "tables": [table.entry for _, table in tables],
            EXPORT: first.is_export,
        }
        _write_line(lines, head)
        paths = ImagePaths()
        _write_rows(archive, lines, tables, columns, paths, several=len({split for split, _ in tables}) > 1)
        notes = [[each.code, each.path, each.detail, each.line] for each in paths.findings()]
        if unread := [table.entry for table in spec.tables if table.entry not in used]:
            detail = f"{counted(len(unread), 'table is', 'tables are')} of no part of the split, and left out."
            notes.append(["files-left-out", unread[0], detail, None])
        _write_line(lines, {"notes": notes})
        lines.flush()
        archive.add_file(ROWS_FILE, rows)
        if spec.class_order is not None:
            archive.add_text(CLASS_ORDER, spec.class_order.byte_range.read().decode("utf-8", "surrogateescape"))
    rows.unlink()


def _card(spec: UnpackSpec) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(the card, its class names by column)"""
    if spec.readme is None:
        return {}, {}
    with _blaming(spec.readme):
        content = spec.readme.byte_range
        card = card_in(content.read(min(content.size, MAX_CARD_BYTES + 1)))
        return card, names_of_card(card, None)


def _columns(tables: list[tuple[str, TableFile]], card: dict[str, list[str]]) -> list[DatasetColumns]:
    """Of each table. They may differ between tables, but for the kind and the names of the classes."""
    found: list[DatasetColumns] = []
    for number, (_, table) in enumerate(tables):
        with _blaming(table), _opened(table) as file:
            try:
                columns = dataset_columns(file.schema, card)
            except HubSetUnusable as error:
                if number == 0:
                    raise _NoImages(str(error)) from error
                raise
            first = found[0] if found else columns
            if columns.kind != first.kind or columns.names != first.names:
                raise HubSetUnusable(f"Its classes are others than those of {tables[0][1].entry}.")
            if len(columns.names or ()) > MAX_CLASSES:
                detail = f"It names {len(columns.names or ())} classes; the limit is {MAX_CLASSES}."
                raise _Refused(Refusal(code="too-many-classes", path=table.entry, detail=detail))
        found.append(columns)
    return found


def _write_rows(
    archive: ImageZip,
    lines: TextIO,
    tables: list[tuple[str, TableFile]],
    columns: list[DatasetColumns],
    paths: ImagePaths,
    *,
    several: bool,
) -> None:
    looked_at = 0
    for number, ((split, table), of_table) in enumerate(zip(tables, columns, strict=True)):
        done = 0
        with _opened(table) as file, _blaming(table, lambda: done + 1):  # noqa: B023 - used within this turn alone
            for row in read_rows(file, of_table):
                line = _line(number, row, of_table, split if several else None)
                if row.image is None:
                    line["fault"] = ["image-missing", "The row has no bytes of an image."]
                elif len(row.image) > MAX_IMAGE_BYTES:
                    detail = f"The image has {len(row.image)} bytes; the limit is {MAX_IMAGE_BYTES}."
                    line["fault"] = ["image-too-large", detail]
                else:
                    suffix = image_suffix(row.image)
                    line["path"] = paths.of(row.path, split, suffix, table=table.entry, row=row.number)
                    archive.add(line["path"], row.image)
                    if archive.bytes - looked_at > _STEP:
                        looked_at = archive.bytes
                        require_space(archive.folder, 0)
                _write_line(lines, line)
                done = row.number


def _line(number: int, row: Row, columns: DatasetColumns, split: str | None) -> dict[str, Any]:
    line: dict[str, Any] = {"at": [number, row.number], "split": split, "size": row.size}
    if columns.objects is None:
        line["label"] = row.label
    else:
        line["objects"] = [
            [
                each.label,
                None if each.box is None else [_number(value) for value in each.box],
                each.difficult,
                each.crowd,
            ]
            for each in row.objects
        ]
    return line


def _number(value: Any) -> float | int | None:
    """None for NaN, infinity, and what is no number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < float("inf") else None


def _write_line(lines: TextIO, value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    lines.write(text.encode("utf-8", "replace").decode() + "\n")


@contextmanager
def _opened(table: TableFile) -> Iterator[ParquetFile]:
    with table.byte_range.open() as content, _blaming(table), ParquetFile(content, table.entry) as file:
        yield file


@contextmanager
def _blaming(table: TableFile, row: Any = lambda: None) -> Iterator[None]:
    """What is wrong while a table is read is a finding of it. `row()`: the one that is read."""
    try:
        yield
    except HubSetUnusable as error:
        too_large = error.facts.get("reason") == "too-large"
        code = "archive-too-large" if too_large else "parquet-invalid"
        raise _Refused(Refusal(code=code, path=table.entry, detail=error.detail, line=row())) from error
    except ValueError as error:  # such as a text that is not UTF-8
        raise _Refused(
            Refusal(code="parquet-invalid", path=table.entry, detail=str(error)[:200], line=row())
        ) from error
    except RowRefused as refused:
        detail = refused.detail
        raise _Refused(Refusal(code=refused.code, path=table.entry, detail=detail, line=refused.row)) from refused
    except MemoryError as error:
        detail = f"Reading it takes more memory than is allowed ({MEMORY_BYTES} bytes)."
        raise _Refused(Refusal(code="parquet-invalid", path=table.entry, detail=detail, line=row())) from error


def _refusal(table: TableFile, detail: str) -> Refusal:
    return Refusal(code="parquet-invalid", path=table.entry, detail=detail)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
