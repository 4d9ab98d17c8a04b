"""Tables without a header row: what each column holds, decided from the values of all rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.archive.extract import is_image
from pipeline.formats.split_names import split_of_folder
from pipeline.formats.table_columns import BoxColumns
from pipeline.formats.tables import Table, TableBroken, is_empty

_MOST_COLUMNS = 20
_BEYOND = 1  # px, by which the corners of a box may lie outside of the image
_UNASSIGNED = "unassigned"  # of a split, in the tables of AutoML


@dataclass(slots=True)
class _Column:
    """What all cells are that are not empty."""

    filled: int = 0
    numbers: bool = True
    images: bool = True
    splits: bool = True

    def add(self, cell: str) -> None:
        if is_empty(cell):
            return
        self.filled += 1
        self.numbers = self.numbers and _number(cell) is not None
        self.images = self.images and is_image(cell)
        self.splits = self.splits and (split_of_folder(cell) is not None or cell.lower() == _UNASSIGNED)


def without_header(table: Table) -> Table | None:
    """The table with its first row as one of the others; None where the first row may be a header."""
    if not any(map(is_image, table.header)) or len(table.header) > _MOST_COLUMNS:
        return None
    names = tuple(f"column {number}" for number in range(1, len(table.header) + 1))
    return replace(table, header=names, headless=True)


def headless_box_columns(table: Table) -> BoxColumns | str:
    """The image, the class and four numbers; of the numbers, the corners of boxes. A sentence where that is unclear."""
    columns = _survey(table)
    if isinstance(columns, str):
        return columns
    found = _image_and_label(columns)
    if isinstance(found, str):
        return found
    numbers = [at for at, column in enumerate(columns) if column.filled and column.numbers]
    if len(numbers) not in (4, 6):
        return f"{len(numbers)} columns with numbers, not the four corners of a box"
    x1, y1, x2, y2 = numbers[:4]
    size = (numbers[4], numbers[5]) if len(numbers) == 6 else None
    if not _are_corners(table, (x1, y1, x2, y2), size):
        return "the numbers are not left, top, right, bottom in each row, and no header says what they are"
    image, label, split = found
    return BoxColumns(image, label, "corners", (x1, y1, x2, y2), size, split, None, None)


def headless_class_columns(table: Table) -> tuple[int, int, int | None] | str:
    """(image, class, split) of a table of classes of whole images; a sentence where that is unclear."""
    columns = _survey(table)
    if isinstance(columns, str):
        return columns
    if any(column.filled and column.numbers for column in columns):
        return "columns with numbers, and no header that says what they are"
    return _image_and_label(columns)


def _survey(table: Table) -> list[_Column] | str:
    columns = [_Column() for _ in table.header]
    try:
        for _, cells in table.rows():
            if len(cells) == len(columns):
                for column, cell in zip(columns, cells, strict=True):
                    column.add(cell)
    except TableBroken as broken:
        return broken.detail.rstrip(".")
    return columns


def _image_and_label(columns: Sequence[_Column]) -> tuple[int, int, int | None] | str:
    texts = [at for at, column in enumerate(columns) if column.filled and not column.numbers]
    images = [at for at in texts if columns[at].images]
    if len(images) != 1:
        return "no single column with the file names of images"
    splits = [at for at in texts if columns[at].splits]
    labels = [at for at in texts if at not in (*images, *splits)]
    if len(labels) != 1 or len(splits) > 1:
        return "no single column with classes, and no header that says which one it is"
    return images[0], labels[0], splits[0] if splits else None


def _are_corners(table: Table, box: tuple[int, int, int, int], size: tuple[int, int] | None) -> bool:
    """Whether the third number is above the first and the fourth above the second in every row with numbers."""
    rows = 0
    for _, cells in table.rows():
        if len(cells) != len(table.header):
            continue
        x1, y1, x2, y2 = (_number(cells[at]) for at in box)
        if x1 is None or y1 is None or x2 is None or y2 is None:
            continue
        rows += 1
        wide, high = (_number(cells[at]) for at in size) if size else (None, None)
        if x2 <= x1 or y2 <= y1 or x2 > (wide or x2) + _BEYOND or y2 > (high or y2) + _BEYOND:
            return False
    return rows > 0


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
