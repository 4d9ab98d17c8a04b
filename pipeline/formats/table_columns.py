"""Which columns of a table are the image, the class and the box, by the header."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Shape = Literal["corners", "sides", "centre"]
CELL: Literal["cell"] = "cell"  # the whole box, or all boxes of an image, in one cell

_IMAGE = (
    *("filename", "fname", "imagefilename", "imagename", "imagefile", "imgname", "imgfile", "file", "image", "img"),
    *("imagepath", "imgpath", "filepath", "relativepath", "path", "imageurl", "url", "imageid", "imgid", "id", "name"),
)
_LABEL = (
    *("classname", "labelname", "categoryname", "objectname", "classlabel", "class", "label", "category", "species"),
    *("breed", "objectclass", "object", "tag", "target", "type", "labels", "name"),
    *("classid", "labelid", "categoryid", "classidx", "classindex"),
)
_SPLIT = ("split", "subset", "partition", "set", "fold", "mluse", "usage", "datatype")
_FLAGS = {"isvalid": "val", "isval": "val", "isvalidation": "val", "istest": "test"}  # of the images held out
_TRUE = frozenset({"1", "1.0", "true", "yes"})
_FALSE = frozenset({"0", "0.0", "false", "no"})
_PREFIXES = ("boundingbox", "bndbox", "bbox", "box", "roi", "rect", "bb")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("topx", "topy", "bottomx", "bottomy"),
    ("xtopleft", "ytopleft", "xbottomright", "ybottomright"),
)
_CENTRES = tuple(
    (x, y, w, h)
    for x, y in (("xcenter", "ycenter"), ("xcentre", "ycentre"), ("centerx", "centery"), ("cx", "cy"), ("xc", "yc"))
    for w, h in (("w", "h"), ("width", "height"))
)
_SIDES = tuple(
    (x, y, w, h)
    for x, y in (("xmin", "ymin"), ("minx", "miny"), ("left", "top"), ("x1", "y1"), ("x", "y"))
    for w, h in (("w", "h"), ("width", "height"))
)
_GROUPS: tuple[tuple[Shape, tuple[tuple[str, ...], ...]], ...] = (
    ("corners", _CORNERS),
    ("centre", _CENTRES),
    ("sides", _SIDES),
)
_SIZES = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("width", "height"), ("w", "h"))
_CELLS = ("bbox", "bboxes", "boundingbox", "boundingboxes", "box", "boxes", "objects", "annotations")
_ANGLES = frozenset({"angle", "rotation", "theta", "rot"})


class BoxColumns(NamedTuple):
    """Numbers of columns. `box`: left, top, right, bottom for `corners`; x, y, width, height for the other shapes.

    `cell`: one column holds the boxes; `label` is None where no other one names classes.
    """

    image: int
    label: int | None
    shape: Shape | Literal["cell"]
    box: tuple[int, ...]
    size: tuple[int, int] | None
    split: int | None
    crowd: int | None
    difficult: int | None

    @property
    def used(self) -> set[int]:
        optional = {column for column in (self.label, self.split, self.crowd, self.difficult) if column is not None}
        return {self.image, *self.box, *(self.size or ()), *optional}


def box_columns(keys: Sequence[str]) -> BoxColumns | str:
    """`keys`: of the header. A sentence where the columns of a table of boxes are missing or occur twice."""
    cell = cell_column(keys)
    shape, box = _box_of(keys) or (CELL, () if cell is None else (cell,))
    if not box:
        return "no columns with the corners or the sides of boxes"
    rest = {key: number for number, key in reversed(list(enumerate(keys))) if number not in box}
    image, label = _image_and_label(rest)
    if image is None or (label is None and shape != CELL):
        return "no column with the names of images" if image is None else "no column with classes"
    if any(keys.count(keys[column]) > 1 for column in (image, label, *box) if column is not None):
        return "a column occurs twice"
    if _ANGLES & rest.keys():
        return "a column of angles, while boxes are upright"
    size = next(((rest[w], rest[h]) for w, h in _SIZES if w in rest and h in rest), None)
    crowd = _first(rest, ("isgroupof", "iscrowd", "crowd"))
    return BoxColumns(
        image, label, shape, box, size, _split_column(rest), crowd, _first(rest, ("difficult", "isdifficult"))
    )


def class_columns(keys: Sequence[str]) -> tuple[int, int, int | None] | str:
    """(image, class, split) of a table of classes of whole images; a sentence where one is missing or unclear."""
    rest = {key: number for number, key in reversed(list(enumerate(keys)))}
    if _box_of(keys):
        return "it has columns of boxes"
    image, label = _image_and_label(rest)
    if image is None:
        return "no column with the names of images"
    if label is None and len(keys) == 2:
        label = 1 - image
    if label is None:
        return "no column with classes"
    if any(keys.count(keys[column]) > 1 for column in (image, label)):
        return "a column occurs twice"
    return image, label, _split_column(rest)


def cell_column(keys: Sequence[str]) -> int | None:
    """The column whose cells may hold whole boxes, by its name."""
    return next((keys.index(key) for key in _CELLS if key in keys), None)


def split_columns(keys: Sequence[str]) -> tuple[int, int] | None:
    """(image, split) of a table that gives a split, with or without labels."""
    rest = {key: number for number, key in reversed(list(enumerate(keys)))}
    split = _split_column(rest)
    image = _first({key: number for key, number in rest.items() if number != split}, _IMAGE)
    return None if image is None or split is None else (image, split)


def part_of_cell(key: str, cell: str) -> str:
    """What the cell of a split column states: of a flag such as `is_valid`, the part that it means."""
    part = _FLAGS.get(key)
    if part is None or cell.lower() not in _TRUE | _FALSE:
        return cell
    return part if cell.lower() in _TRUE else "train"


def _split_column(columns: Mapping[str, int]) -> int | None:
    return _first(columns, (*_SPLIT, *_FLAGS))


def _box_of(keys: Sequence[str]) -> tuple[Shape, tuple[int, ...]] | None:
    plain = {key: number for number, key in reversed(list(enumerate(keys)))}
    prefixed = {short: number for key, number in plain.items() if (short := _without_prefix(key))}
    for columns in (prefixed, plain):
        for shape, groups in _GROUPS:
            for group in groups:
                if all(name in columns for name in group):
                    x1, y1, x2, y2 = (columns[name] for name in group)
                    return shape, (x1, y1, x2, y2)
    return None


def _without_prefix(key: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
    return key[len(prefix) :] if prefix else ""


def _image_and_label(columns: Mapping[str, int]) -> tuple[int | None, int | None]:
    image = _first(columns, _IMAGE)
    return image, _first({key: column for key, column in columns.items() if column != image}, _LABEL)


def _first(columns: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((columns[name] for name in names if name in columns), None)
