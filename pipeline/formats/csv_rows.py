"""The rows of a table of boxes, as entries of its images."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.archive.plural import counted
from pipeline.dataset.model import HELD_OUT_SPLITS, RawBox
from pipeline.formats.box_limits import require_entries
from pipeline.formats.box_shapes import BoxShapes
from pipeline.formats.coordinates import UNIT, exact
from pipeline.formats.listed import ListedImage, Report, split_of_value
from pipeline.formats.split_names import split_of_folder
from pipeline.formats.table_cells import boxes_of_cell, labels_of_cell
from pipeline.formats.table_columns import CELL, BoxColumns, Shape, part_of_cell
from pipeline.formats.tables import Table, TableBroken, is_empty, key_of
from pipeline.formats.text import WrittenNames, class_name_fault, thousandths

ONE_CLASS = "object"  # of boxes in a table without a column of classes
_NO_OBJECT = frozenset({"background", "no finding", "no object", "negative"})
_TRUE = frozenset({"1", "true", "yes"})


@dataclass(slots=True)
class BoxTable:
    table: Table
    columns: BoxColumns
    report: Report
    entries: dict[str, ListedImage] = field(default_factory=dict)
    crowds: list[int] = field(default_factory=list)
    lost_rows: int = 0
    is_whole: bool = True
    undecided: list[tuple[ListedImage, int]] = field(default_factory=list)  # boxes whose four numbers have no shape yet


def read_rows(each: BoxTable, written: WrittenNames, names: dict[str, str]) -> None:
    try:
        for line, cells in each.table.rows():
            _read_row(each, line, cells, written, names)
    except TableBroken as broken:
        each.report.add(broken.code, broken.detail, broken.line)
        each.is_whole = False


def settle_shapes(tables: Sequence[BoxTable]) -> Shape | None:
    """Turns four numbers in a cell into edges, by what fits all of them; None for no such cells, or an unclear shape.

    Where the images have no size, numbers that cannot be corners are left, top, width and height. Where both or
    neither fit, one error is reported, and no such box is usable.
    """
    undecided = [(each, entry, at) for each in tables for entry, at in each.undecided]
    if not undecided:
        return None
    fractions = all(max(entry.boxes[at][1:5]) <= UNIT for _, entry, at in undecided)
    shapes = BoxShapes()
    not_corners = 0
    for each, entry, at in undecided:
        box = entry.boxes[at]
        values = (box.x1, box.y1, box.x2, box.y2)
        not_corners += box.x2 <= box.x1 or box.y2 <= box.y1
        size = (1, 1) if fractions else entry.size
        if size:
            shapes.add(each.report.file.name, box.line or 0, values, (size[0] * UNIT, size[1] * UNIT))
    shape = shapes.likelier() if shapes.boxes else _likelier_without_sizes(not_corners, len(undecided))
    first, entry, at = undecided[0]
    if shape is None:
        detail = "The four numbers of a box may be its corners, or left, top, width and height: both or neither fit."
        first.report.add("box-columns-unclear", detail, entry.boxes[at].line)
    for _, entry, at in undecided:
        box = entry.boxes[at]
        entry.usable = entry.usable and shape is not None
        if shape != "corners":
            entry.boxes[at] = box._replace(x2=box.x1 + box.x2, y2=box.y1 + box.y2)
    return shape


def _likelier_without_sizes(not_corners: int, boxes: int) -> Shape | None:
    """A tenth that cannot be corners are more than exchanged corners; too few boxes show nothing."""
    return "sides" if 10 * not_corners >= boxes else None


def _read_row(each: BoxTable, line: int, cells: list[str], written: WrittenNames, names: dict[str, str]) -> None:
    columns, report = each.columns, each.report
    name = cells[columns.image] if len(cells) > columns.image else ""
    entry = each.entries.setdefault(name, ListedImage(report.file, name, line)) if name else None
    require_entries(report.file, len(each.entries), line)
    if entry is None or len(cells) != len(each.table.header):
        have = counted(len(cells), "cell")
        detail = f"The row has {have}, the header {len(each.table.header)}." if name else "The row names no image."
        report.add("table-row-invalid", detail, line)
        each.lost_rows += entry is None
        if entry:
            entry.usable = False
        return
    entry.size = entry.size or _size(cells, columns)
    if columns.split is not None:
        stated = part_of_cell(key_of(each.table.header[columns.split]), cells[columns.split])
        _read_split(entry, split_of_value(stated), report, line)
    if columns.crowd is not None and cells[columns.crowd].lower() in _TRUE:
        each.crowds.append(line)
        return
    if columns.shape == CELL:
        _read_cell(each, entry, line, cells, written, names)
        return
    label = "" if columns.label is None else written.clean(cells[columns.label], report.file.name, line)
    texts = [cells[column] for column in columns.box]
    if all(map(is_empty, texts)) and (is_empty(label) or label.lower() in _NO_OBJECT):
        return  # the row of an image without objects
    box = _box(each, line, names.get(label, label), texts)
    if box is None:
        entry.usable = False
        return
    difficult = columns.difficult is not None and cells[columns.difficult].lower() in _TRUE
    report.add_box(entry, box._replace(difficult=difficult))


def _read_split(entry: ListedImage, stated: str | None, report: Report, line: int) -> None:
    """Of an image whose rows name several parts, the one that holds it out."""
    if entry.split is None or stated is None or stated == entry.split:
        entry.split = entry.split or stated
        return
    before, after = split_of_folder(entry.split), split_of_folder(stated)
    if before == after:
        return
    report.add("split-conflict", f"A row of {entry.name[:200]!r} is of {entry.split}, this one of {stated}.", line)
    if before not in HELD_OUT_SPLITS or after == "test":
        entry.split = stated


def _read_cell(
    each: BoxTable, entry: ListedImage, line: int, cells: list[str], written: WrittenNames, names: dict[str, str]
) -> None:
    """One box, or all boxes of an image."""
    columns, report = each.columns, each.report
    text = cells[columns.box[0]]
    if is_empty(text):
        return  # the row of an image without objects
    boxes = boxes_of_cell(text)
    if boxes is None:
        report.add("box-not-a-number", f"{text[:60]!r} is not a box or a list of boxes.", line)
        entry.usable = False
        return
    stated = [] if columns.label is None else labels_of_cell(cells[columns.label])
    if len(boxes) != len(stated) and any(not box.label for box in boxes) and columns.label is not None:
        report.add("table-row-invalid", f"The row has {len(boxes)} boxes and {len(stated)} classes.", line)
        entry.usable = False
        return
    for at, box in enumerate(boxes):
        text = box.label or (stated[at] if stated else ONE_CLASS)
        label = written.clean(text, report.file.name, line)
        fault = class_name_fault(label) if label else ("class-name-empty", "A box has no class.")
        if fault:
            report.add(*fault, line)
            entry.usable = False
            continue
        x1, y1, x2, y2 = box.numbers
        if box.shape == "sides":
            x2, y2 = x1 + x2, y1 + y2
        if box.shape is None:
            each.undecided.append((entry, len(entry.boxes)))
        each.report.add_box(entry, RawBox(names.get(label, label), x1, y1, x2, y2, False, line))


def _box(each: BoxTable, line: int, label: str, texts: list[str]) -> RawBox | None:
    """In 1/UNIT; None for an error, which is reported."""
    report, columns = each.report, each.columns
    if all(map(is_empty, texts)):
        report.add("box-missing", f"The row of {label[:100]!r} has no box.", line)
        return None
    if is_empty(label):
        report.add("class-name-empty", "The row has a box and no class.", line)
        return None
    if fault := class_name_fault(label):
        report.add(*fault, line)
        return None
    if each.table.delimiter != ",":
        texts = [text.replace(",", ".") for text in texts]  # 0,5
    numbers = [exact(text) for text in texts]
    if None in numbers:
        wrong = numbers.index(None)
        name = each.table.header[columns.box[wrong]][:40]
        report.add("box-not-a-number", f"{name} is {texts[wrong][:40]!r}, which is not a valid coordinate.", line)
        return None
    return RawBox(label, *_corners([number for number in numbers if number is not None], columns), False, line)


def _corners(numbers: list[int], columns: BoxColumns) -> tuple[int, int, int, int]:
    first, second, third, fourth = numbers
    if columns.shape == "corners":
        return first, second, third, fourth
    if columns.shape == "sides":
        return first, second, first + third, second + fourth
    left, top = first - third // 2, second - fourth // 2
    return left, top, left + third, top + fourth


def _size(cells: list[str], columns: BoxColumns) -> tuple[int, int] | None:
    if columns.size is None:
        return None
    width, height = (thousandths(cells[column]) for column in columns.size)
    return (width // 1000, height // 1000) if width and height and min(width, height) >= 1000 else None
