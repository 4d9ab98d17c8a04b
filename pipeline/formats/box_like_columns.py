"""Columns of a table of classes that may be the boxes of its images, under names that say nothing."""

import re
from collections.abc import Collection
from itertools import islice

from pipeline.formats.tables import Table, TableBroken, is_empty

_BOX_NUMBERS = 4
_TRIED_ROWS = 200
_NUMERIC = 0.9  # of the cells that are not empty: "nearly every row"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NO_BOX = re.compile(
    r"width|height|length|depth|size|area|ratio|percent|bytes|channels|count|num|number|index|idx|id|fold|split|scores?|"
    r"prob|probs|probability|conf|confidence|logit|feat|feature|emb|embedding|mean|std|var|year|month|day|hour|time|"
    r"timestamp|date|age|sex|gender|weight|price|rating|votes|lat|latitude|lon|lng|longitude|altitude|temp|temperature|"
    r"humidity|pressure|iso|dpi|fps|quality|level|grade|severity"
)


def box_like_columns(table: Table, read: Collection[int | None]) -> list[str]:
    """The names of four or more columns that nothing reads and that are numbers in nearly every row; else none.

    `read`: the columns that are read. Flags, columns with negative numbers in a tenth of the rows, and those named as
    measures that are no boxes (`fold`, `patient_age`, `prob_cat`) do not count.
    """
    others = [at for at, name in enumerate(table.header) if at not in read and not _is_measure(name)]
    if len(others) < _BOX_NUMBERS:
        return []
    try:
        rows = [cells for _, cells in islice(table.rows(), _TRIED_ROWS)]
    except TableBroken:
        return []  # reading it reports what is broken
    columns = {at: [cells[at] for cells in rows if len(cells) > at and not is_empty(cells[at])] for at in others}
    found = [table.header[at] for at, cells in columns.items() if _are_coordinates(cells)]
    return found if len(found) >= _BOX_NUMBERS else []


def _is_measure(name: str) -> bool:
    return any(_NO_BOX.fullmatch(word.lower()) for word in _WORD.findall(name))


def _are_coordinates(cells: list[str]) -> bool:
    numbers = [float(cell) for cell in cells if _NUMBER.fullmatch(cell)]
    positive = sum(number >= 0 for number in numbers)
    return bool(cells) and positive >= _NUMERIC * len(cells) and not {*numbers} <= {0.0, 1.0}
