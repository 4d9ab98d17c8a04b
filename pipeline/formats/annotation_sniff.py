"""Whether a file is a table or document of labels of the dataset's images, by its first 64 KB."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.archive.entry_names import bare_of, base_of, suffix_of
from pipeline.archive.extract import IMAGE_SUFFIXES
from pipeline.archive.source import SourceFile
from pipeline.formats.split_names import split_of_folder

SNIFF_BYTES = 65_536
_TRIED_LINES = 20  # of a text about one image
_MIN_ROWS = 2  # that name images, and every fifth row: a text that mentions an image is no table
_ENDS = "|".join(sorted((suffix[1:] for suffix in IMAGE_SUFFIXES), key=len, reverse=True))
_FILE = re.compile(rf"[^\"'<>|,;\t\n]*?\.(?:{_ENDS})(?![\w.])", re.IGNORECASE)
_QUOTED = re.compile(rf"""["'>]([^"'<>]{{1,500}}\.(?:{_ENDS}))["'<]""", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_IMAGE_HEADER = re.compile(r"(?:image|img|file|photo|frame)?[ _-]?(?:id|name|path|file|filename|image)?s?")
_LABEL_HEADER = re.compile(
    r".*(?:label|class|categor|target|annotation|species|breed|diagnos|bbox|box|polygon|region|xmin|ymin|xmax|ymax|"
    r"x_?center|y_?center|truth|attributes).*|dx|y|x1|y1|x2|y2|tag|tags|name|type|x|w|h"
)
_SPLIT_HEADER = re.compile(r"(?:data_?)?(?:split|set|subset|fold|partition|usage|phase)|is_?(?:train|val|test)\w*")
_PLAIN_HEADER = re.compile(
    r"(?:\w*_)?(?:id|uuid|index|idx|md5|sha\d*|hash|crc|url|uri|link|source|author|artist|creator|photographer|license|"
    r"licence|copyright|credit|title|caption|description|text|comment|notes?|date|datetime|time|timestamp|created|"
    r"modified|year|month|day|size|bytes|width|height|depth|channels|mode|format|ext|extension|camera|make|model|lens|"
    r"iso|exposure|gps|lat|latitude|lon|long|lng|longitude|altitude|location|place|city|country|sensor|path|folder|"
    r"filename|file_name|file|original\w*|resolution|dpi|quality|rating|views|likes)"
)
_LABEL_KEYS = re.compile(
    r'"(?:annotations?|shapes|regions|objects?|labels?|bbox|boxes|bounding_?box(?:es)?|polygons?|points|class(?:_?name)?|'
    r'categor(?:y|ies)|result|instances|tags?|classification|split)"\s*:',
    re.IGNORECASE,
)
_LABEL_TAGS = re.compile(
    r"<(?:\w+:)?(?:box|bndbox|polygon|polyline|points|object|objects|label|mask|tag|region|coords|textline|taggedrectangle|"
    r"class|category)\b",
    re.IGNORECASE,
)
Row = list[str]


@dataclass(frozen=True, slots=True)
class SniffedFile:
    """`images`: those named; `of_one`: it is about the image of its own name; `cut`: more of the file was not read."""

    images: frozenset[str]
    labels: bool = False
    splits: bool = False
    of_one: bool = False
    cut: bool = False

    @property
    def holds(self) -> bool:
        return self.labels or self.splits


class ImageNames:
    """Images by file name and by stem. `labels`: image -> class of its folder, None for none."""

    def __init__(self, labels: Mapping[str, str | None]) -> None:
        self.labels = labels
        self._bases: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for name in labels:
            base = base_of(name)
            self._bases[base].append(name)
            self._stems[bare_of(base)].append(name)

    def of_own_name(self, path: str) -> list[str]:
        """The images that an annotation file is named like: `a.json` or `a.jpg.json`."""
        own = bare_of(base_of(path))
        return self._stems.get(own) or self._bases.get(own) or []

    def named(self, text: str, *, ids: bool = False) -> str | None:
        """The image that a cell names, by a path or file name, or by its stem. `ids`: numbers may be stems."""
        text = text.strip().strip("\"'").replace("\\", "/")
        base = base_of(text)
        found = self._bases.get(base)
        if not found and base and (ids or not _NUMBER.fullmatch(base)):
            found = self._stems.get(base)
        if not found:
            return None
        return next((name for name in found if f"/{name}".endswith(f"/{text}")), found[0])


def sniff_table(file: SourceFile, names: ImageNames) -> SniffedFile | None:
    """Of rows with cells, or of JSON Lines. None where it names no images, or nothing but images."""
    text, cut = text_of(file)
    if suffix_of(file.name) in (".jsonl", ".ndjson"):
        return _sniff_quoted(text, names, _LABEL_KEYS, cut=cut)
    lines = [line for line in text.split("\n") if line.strip()][: -1 if cut else None]
    if suffix_of(file.name) == ".txt" and names.of_own_name(file.name):
        return SniffedFile(frozenset(), labels=True, of_one=True) if _holds_numbers(lines[:_TRIED_LINES]) else None
    header, rows = _rows(lines, suffix_of(file.name))
    column, found = _image_column(header, rows, names)
    if len(found) < _MIN_ROWS or 5 * len(found) < len(rows):
        return None
    labels, splits = _meaning(header, column, found, names)
    if not labels and not splits:
        return None
    return SniffedFile(frozenset(name for name, _ in found), labels=labels, splits=splits, cut=cut)


def sniff_document(file: SourceFile, names: ImageNames) -> SniffedFile | None:
    """JSON or XML: of the image with its own name, or of several that it names."""
    text, cut = text_of(file)
    marks = _LABEL_TAGS if suffix_of(file.name) == ".xml" else _LABEL_KEYS
    if names.of_own_name(file.name):
        return SniffedFile(frozenset(), labels=True, of_one=True) if marks.search(text) else None
    return _sniff_quoted(text, names, marks, cut=cut)


def text_of(file: SourceFile) -> tuple[str, bool]:
    """(the text, whether more of the file was not read)."""
    content = file.byte_range.read(SNIFF_BYTES)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content[: len(content) // 2 * 2].decode("utf-16", "replace")
    elif content[1:64:2].count(0) > 16:
        text = content.decode("utf-16-le", "replace")
    else:
        text = content.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n"), file.bytes > SNIFF_BYTES


def _holds_numbers(lines: list[str]) -> bool:
    """Whether most lines have the numbers of a box: not captions, nor the matrices of a camera (`P0: 1 0 0 ...`)."""
    rows = [re.split(r"[\s,;]+", line.strip()) for line in lines]
    boxes = [row for row in rows if not row[0].endswith(":") and sum(map(bool, map(_NUMBER.fullmatch, row))) >= 4]
    return bool(boxes) and 2 * len(boxes) >= len(rows)


def _sniff_quoted(text: str, names: ImageNames, marks: re.Pattern[str], *, cut: bool) -> SniffedFile | None:
    if not marks.search(text):
        return None
    found = {name for quoted in _QUOTED.findall(text.replace("\\/", "/")) if (name := names.named(quoted))}
    return SniffedFile(frozenset(found), labels=True, cut=cut) if found else None


def _rows(lines: list[str], suffix: str) -> tuple[Row, list[Row]]:
    """(header, rows); the header is empty where the first row is one like the others."""
    if suffix == ".txt":
        rows = [_split_text(line) for line in lines]
    else:
        first = lines[0] if lines else ""
        delimiter = max(",;\t|", key=first.count)
        rows = list(_read_csv(lines, delimiter))
    if len(rows) > 1 and not any(_NUMBER.fullmatch(cell) or _FILE.fullmatch(cell) for cell in rows[0] if cell):
        return [cell.strip().lower() for cell in rows[0]], rows[1:]
    return [], rows


def _read_csv(lines: Sequence[str], delimiter: str) -> Iterator[Row]:
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            yield [cell.strip() for cell in row]
    except csv.Error:
        return


def _split_text(line: str) -> Row:
    """Cells of a text table; a file name may hold spaces."""
    match = _FILE.search(line)
    if not match:
        return [cell for cell in re.split(r"[\s,;|]+", line.strip()) if cell]
    before = match[0].split("/")[0].split()  # `12 folder/a b.jpg`: a number before the path is a cell of its own
    head: Row = []
    name = match[0].strip()
    if len(before) > 1 and _NUMBER.fullmatch(before[0]):
        head, name = [before[0]], name.split(None, 1)[1]
    ends = [cell for part in (line[: match.start()], line[match.end() :]) for cell in re.split(r"[\s,;|\"']+", part)]
    return [*head, name, *filter(None, ends)]


def _image_column(header: Row, rows: list[Row], names: ImageNames) -> tuple[int, list[tuple[str, Row]]]:
    """(the column that names images most often, (image, row) of its rows)."""
    width = max((len(row) for row in rows[:100]), default=0)
    best: tuple[int, list[tuple[str, Row]]] = (0, [])
    for column in range(min(width, 20)):
        ids = column < len(header) and bool(header[column]) and bool(_IMAGE_HEADER.fullmatch(header[column]))
        found = [
            (name, row) for row in rows if column < len(row) and (name := names.named(row[column], ids=ids)) is not None
        ]
        if len(found) > len(best[1]):
            best = (column, found)
    return best


def _meaning(header: Row, column: int, found: list[tuple[str, Row]], names: ImageNames) -> tuple[bool, bool]:
    """(whether a column gives labels, whether one gives splits)."""
    labels = splits = False
    width = max(len(row) for _, row in found)
    for other in range(width):
        if other == column:
            continue
        title = header[other] if other < len(header) else ""
        pairs = [(names.labels[name], row[other]) for name, row in found if other < len(row) and row[other]]
        if not pairs or _agrees(pairs):
            continue
        values = [value for _, value in pairs]
        if _SPLIT_HEADER.fullmatch(title) or all(split_of_folder(value) for value in values):
            splits = True
        elif _LABEL_HEADER.fullmatch(title) or not _PLAIN_HEADER.fullmatch(title):
            labels = labels or bool(_LABEL_HEADER.fullmatch(title)) or _may_be_labels(values, titled=bool(title))
    return labels, splits


def _agrees(pairs: Iterable[tuple[str | None, str]]) -> bool:
    """Whether a column names the classes of the folders, by their names or one number for each."""
    to_value: dict[str | None, set[str]] = defaultdict(set)
    to_label: dict[str, set[str | None]] = defaultdict(set)
    for label, value in pairs:
        to_value[label].add(value)
        to_label[value].add(label)
    one_to_one = all(len(held) == 1 for held in to_value.values()) and all(len(held) == 1 for held in to_label.values())
    if None in to_value or not one_to_one:
        return False
    return len(to_value) > 1 or all(
        label and value.casefold() == label.casefold() for label, (value,) in to_value.items()
    )


def _may_be_labels(values: list[str], *, titled: bool) -> bool:
    """Not for ids and sentences: whole numbers that are all different and in order, and text that never repeats."""
    distinct = set(values)
    if all(map(_NUMBER.fullmatch, values)):
        in_order = all(value.isdigit() for value in values) and [*map(int, values)] == sorted(map(int, distinct))
        return not in_order or len(values) < _MIN_ROWS
    return len(distinct) > 1 and (2 * len(distinct) <= len(values) or (titled and len(distinct) == 2))
