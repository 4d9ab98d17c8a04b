"""Images of two datasets side by side: before and after, with what was added, removed and changed drawn on them."""

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from pipeline.decode.image import open_upright
from pipeline.plots.fonts import face_of
from pipeline.plots.style import INK, MUTED
from pipeline.process.render_task import ComparedBox, ComparedPair, ComparedSide, ComparisonTask

WIDTH, HEIGHT = 340, 255  # px of one image's frame
BACKGROUND = "#eef1f4"
# Distinguished by colour-blind readers too; what is removed is dashed besides.
COLOURS = {"added": "#009e73", "removed": "#d9480f", "changed": "#0072b2", "was": "#56b4e9", "same": "#adb5bd"}
COLOURS |= {"found": COLOURS["added"], "false": COLOURS["removed"], "missed": COLOURS["changed"]}
LEGEND = {"added": "added", "removed": "removed", "changed": "changed", "was": "where it was", "same": "unchanged"}
OF_PREDICTIONS = {"found": "found", "false": "false", "missed": "missed"}
_OUTCOMES = {"won": "#00704f", "lost": "#b44a00"}  # dark enough for text on white
_DASHED, _WITHOUT_NAME = ("removed", "was", "missed"), ("was", "same")
_MARGIN, _BETWEEN, _GAP = 28, 6, 30  # px: around the sheet, between before and after, between pairs
_HEAD, _LEGEND, _CAPTION = 92, 34, 30  # px: height of the head, its legend, a line above and below the images
_SPACED = 14  # px: between the parts of a caption
_OF_NOTE, _OF_CAPTION = (
    0.65,
    0.75,
)  # of the width of a pair, of an image: at most so much is the note, what was predicted
_DASH, _SPACE = 9, 5
_TAG = 19  # px: height of the name of a box
_COMPRESSION = 3  # of zlib's 9 levels: higher ones save 2 % on photographs and take five times as long
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Edges = tuple[int, int, int, int]  # px: left, top, right, bottom


class _Fonts(NamedTuple):
    title: _Font
    text: _Font
    tag: _Font


def draw_comparison(task: ComparisonTask, read: Callable[[int], bytes]) -> bytes:
    """A PNG. `read(n)` returns the next n bytes of the files. An image that cannot be read is a frame that says so.

    Raises what `read` raises.
    """
    columns = _columns(len(task.pairs))
    rows = -(-len(task.pairs) // columns)
    width, height = 2 * WIDTH + _BETWEEN, HEIGHT + 2 * _CAPTION
    head = _HEAD + _LEGEND if _has_boxes(task) else _HEAD
    size = (2 * _MARGIN + columns * (width + _GAP) - _GAP, head + rows * (height + _GAP) - _GAP + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    fonts = _fonts(task)
    _draw_head(sheet, task, fonts)
    for number, pair in enumerate(task.pairs):
        row, column = divmod(number, columns)
        corner = (_MARGIN + column * (width + _GAP), head + row * (height + _GAP))
        _draw_pair(sheet, corner, pair, task, read, fonts)
    out = io.BytesIO()
    sheet.save(out, "PNG", compress_level=_COMPRESSION)
    return out.getvalue()


def _columns(pairs: int) -> int:
    return 1 if pairs <= 2 else 2 if pairs <= 8 else 3


def _has_boxes(task: ComparisonTask) -> bool:
    return any(side.boxes for pair in task.pairs for side in (pair.before, pair.after) if side is not None)


def _fonts(task: ComparisonTask) -> _Fonts:
    face = face_of(frozenset(_texts(task)))
    return _Fonts(_font(face, 24), _font(face, 16), _font(face, 14))


def _texts(task: ComparisonTask) -> Iterator[str]:
    yield from (task.before, task.after, task.title)
    for pair in task.pairs:
        yield from (pair.path, pair.note)
        for side in filter(None, (pair.before, pair.after)):
            yield f"{side.label or ''} {side.caption or ''}"
            yield from (box.label for box in side.boxes)


def _font(face: str | None, size: int) -> _Font:
    return ImageFont.truetype(face, size) if face else ImageFont.load_default(size)


def _draw_head(sheet: Image.Image, task: ComparisonTask, fonts: _Fonts) -> None:
    pen = ImageDraw.Draw(sheet)
    between = f"  {'and' if task.predictions else 'to'}  "
    room = sheet.width - 2 * _MARGIN
    of_name = (room - pen.textlength(between, font=fonts.title)) / 2
    names = between.join(_end_of(pen, name, fonts.title, of_name) for name in (task.before, task.after))
    pen.text((_MARGIN, 34), names, font=fonts.title, fill=INK, anchor="lm")
    pen.text((_MARGIN, 62), _start_of(pen, task.title, fonts.text, room), font=fonts.text, fill=MUTED, anchor="lm")
    if not _has_boxes(task):
        return
    x, y = _MARGIN, 94
    for change, name in (OF_PREDICTIONS if task.predictions else LEGEND).items():
        _rectangle(pen, (x, y - 8, x + 24, y + 8), change, width=_width(change))
        pen.text((x + 34, y), name, font=fonts.text, fill=INK, anchor="lm")
        x += 34 + round(pen.textlength(name, font=fonts.text)) + 24


def _draw_pair(
    sheet: Image.Image,
    corner: tuple[int, int],
    pair: ComparedPair,
    task: ComparisonTask,
    read: Callable[[int], bytes],
    fonts: _Fonts,
) -> None:
    left, top = corner
    pen = ImageDraw.Draw(sheet)
    right = left + 2 * WIDTH + _BETWEEN
    middle = top + _CAPTION // 2 - 2
    shade = _OUTCOMES[pair.outcome] if pair.outcome else MUTED
    note = _start_of(pen, pair.note, fonts.text, _OF_NOTE * (right - left))
    pen.text((right, middle), note, font=fonts.text, fill=shade, anchor="rm")
    room = right - left - pen.textlength(note, font=fonts.text) - 16
    pen.text((left, middle), _end_of(pen, pair.path, fonts.text, room), font=fonts.text, fill=INK, anchor="lm")
    image = None
    sides = ((pair.before, task.before, left), (pair.after, task.after, left + WIDTH + _BETWEEN))
    for side, name, x in sides:
        if side is not None and side.bytes:  # else it is the same image again
            image = _decoded(read(side.bytes), side)
        frame = _frame(image, side, name, fonts)
        sheet.paste(frame, (x, top + _CAPTION))
        _draw_caption(pen, (x, top + _CAPTION + HEIGHT + _CAPTION // 2), side, pair, name, fonts)


def _decoded(content: bytes, side: ComparedSide) -> Image.Image | None:
    """Upright, as large as its frame allows; small ones are enlarged. None where it cannot be decoded."""
    factor = _factor(side)
    size = (max(1, round(side.width * factor)), max(1, round(side.height * factor)))
    try:
        return open_upright(content, at_least=size).resize(size, Image.Resampling.LANCZOS)
    except Exception:  # noqa: BLE001 - decoders raise anything for hostile bytes: all of it means unreadable
        return None


def _factor(side: ComparedSide) -> float:
    return min(WIDTH / side.width, HEIGHT / side.height)


def _frame(image: Image.Image | None, side: ComparedSide | None, name: str, fonts: _Fonts) -> Image.Image:
    frame = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    if side is None or image is None:
        return _with_text(frame, f"not in {name}" if side is None else "cannot be decoded", fonts.text)
    offset = ((WIDTH - image.width) // 2, (HEIGHT - image.height) // 2)
    frame.paste(image, offset)
    _draw_boxes(frame, side.boxes, _factor(side), offset, fonts.tag)
    return frame


def _with_text(frame: Image.Image, text: str, font: _Font) -> Image.Image:
    ImageDraw.Draw(frame).text((WIDTH // 2, HEIGHT // 2), text, font=font, fill=MUTED, anchor="mm")
    return frame


def _draw_boxes(
    frame: Image.Image, boxes: Sequence[ComparedBox], factor: float, offset: tuple[int, int], font: _Font
) -> None:
    """What is the same is drawn first."""
    pen = ImageDraw.Draw(frame)
    placed = [
        (box, _placed(box, factor, offset)) for box in sorted(boxes, key=lambda box: box.change not in _WITHOUT_NAME)
    ]
    for box, edges in placed:
        _rectangle(pen, edges, box.change, width=_width(box.change))
    tags: list[_Edges] = []
    for box, edges in placed:
        if box.change not in _WITHOUT_NAME:
            text = _start_of(pen, box.label, font, WIDTH - 10)
            tags.append(_free(tags, edges, round(pen.textlength(text, font=font)) + 10))
            _tag(pen, text, tags[-1], COLOURS[box.change], font)


def _placed(box: ComparedBox, factor: float, offset: tuple[int, int]) -> _Edges:
    x, y = offset
    x1, y1 = round(box.x1 * factor) + x, round(box.y1 * factor) + y
    return x1, y1, max(x1 + 3, round(box.x2 * factor) + x - 1), max(y1 + 3, round(box.y2 * factor) + y - 1)


def _width(change: str) -> int:
    return 2 if change in _WITHOUT_NAME else 3


def _rectangle(pen: ImageDraw.ImageDraw, edges: _Edges, change: str, *, width: int) -> None:
    if change not in _DASHED:
        pen.rectangle(edges, outline=COLOURS[change], width=width)
        return
    x1, y1, x2, y2 = edges
    for start in range(x1, x2, _DASH + _SPACE):
        end = min(start + _DASH, x2)
        pen.rectangle((start, y1, end, y1 + width - 1), fill=COLOURS[change])
        pen.rectangle((start, y2 - width + 1, end, y2), fill=COLOURS[change])
    for start in range(y1, y2, _DASH + _SPACE):
        end = min(start + _DASH, y2)
        pen.rectangle((x1, start, x1 + width - 1, end), fill=COLOURS[change])
        pen.rectangle((x2 - width + 1, start, x2, end), fill=COLOURS[change])


def _free(tags: Sequence[_Edges], edges: _Edges, wide: int) -> _Edges:
    """Where a tag of this width covers the others least: above its box, else at its lower edge, or right of that."""
    x1, y1, x2, y2 = edges
    above = y1 - _TAG if y1 >= _TAG else y1
    corners = ((x1, above), (x1, y2), (x2 - wide, above), (x2 - wide, y2), (x1, y1), (x1, y2 - _TAG))
    inside = ((max(0, min(x, WIDTH - wide)), max(0, min(y, HEIGHT - _TAG))) for x, y in corners)
    rooms = [(x, y, x + wide, y + _TAG) for x, y in inside]
    return min(rooms, key=lambda room: sum(_covered(room, tag) for tag in tags))


def _covered(one: _Edges, other: _Edges) -> int:
    """Pixels."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


def _tag(pen: ImageDraw.ImageDraw, text: str, edges: _Edges, shade: str, font: _Font) -> None:
    pen.rectangle(edges, fill=shade)
    pen.text((edges[0] + 5, edges[1] + _TAG // 2 + 1), text, font=font, fill="white", anchor="lm")


def _draw_caption(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    side: ComparedSide | None,
    pair: ComparedPair,
    name: str,
    fonts: _Fonts,
) -> None:
    """The dataset, the split and the class of the image; what changed stands out."""
    if side is None:
        return
    x, y = corner
    other = pair.before if side is pair.after else pair.after
    is_moved = other is not None and other.split != side.split
    parts = []
    if side.caption is None:
        parts.append((side.split, COLOURS["changed"] if is_moved else INK))
    else:
        shade = INK if side.is_right is None else _OUTCOMES["won" if side.is_right else "lost"]
        parts.append((_start_of(pen, side.caption, fonts.text, _OF_CAPTION * WIDTH), shade))
    if side.label is not None:
        label = _start_of(pen, side.label, fonts.text, WIDTH / 2)
        parts.append((label, COLOURS["changed"] if pair.is_relabelled else INK))
    room = WIDTH - sum(_SPACED + pen.textlength(text, font=fonts.text) for text, _ in parts)
    for text, shade in ((_end_of(pen, name, fonts.text, room), MUTED), *parts):
        pen.text((x, y), text, font=fonts.text, fill=shade, anchor="lm")
        x += round(pen.textlength(text, font=fonts.text)) + _SPACED


def _end_of(pen: ImageDraw.ImageDraw, text: str, font: _Font, room: float) -> str:
    """What of `text` fits into `room` pixels, shortened at its begin: its end names the file, or the version."""
    return _fitted(pen, text, font, room, lambda kept: f"…{text[len(text) - kept :]}")


def _start_of(pen: ImageDraw.ImageDraw, text: str, font: _Font, room: float) -> str:
    return _fitted(pen, text, font, room, lambda kept: f"{text[:kept]}…")


def _fitted(pen: ImageDraw.ImageDraw, text: str, font: _Font, room: float, cut: Callable[[int], str]) -> str:
    if pen.textlength(text, font=font) <= room:
        return text
    fitting = bisect_right(range(1, len(text)), room, key=lambda kept: pen.textlength(cut(kept), font=font))
    return cut(fitting)
