"""A grid of the thumbnails that prepare rendered and stored. Their bytes are trusted: Darkroom encoded them."""

import io
import math
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_WIDTH = 2400  # px of the grid; thumbnails that do not fit are scaled down
_GAP, _MARGIN = 14, 18
_COMPRESSION = 3  # of zlib's 9 levels: higher ones save 2 % on photographs and take five times as long


def assemble(samples: bytes, count: int) -> bytes:
    """A PNG of the first `count` thumbnails in the tar `samples`, row by row, in a grid as square as possible."""
    from PIL import Image  # not needed to start the API

    with tarfile.open(fileobj=io.BytesIO(samples)) as tar:
        members = [member for member in tar.getmembers() if member.isfile()][:count]
        cells = [_read(tar, member) for member in members]
    columns = math.ceil(math.sqrt(len(cells)))
    factor = min(1.0, (MAX_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) / (columns * cells[0].width))
    width, height = (round(side * factor) for side in cells[0].size)
    rows = math.ceil(len(cells) / columns)
    size = (2 * _MARGIN + columns * (width + _GAP) - _GAP, 2 * _MARGIN + rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, "white")
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        thumbnail = cell if factor == 1.0 else cell.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(thumbnail, (_MARGIN + column * (width + _GAP), _MARGIN + row * (height + _GAP)))
    out = io.BytesIO()
    sheet.save(out, "PNG", compress_level=_COMPRESSION)
    return out.getvalue()


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> "Image.Image":
    from PIL import Image

    content = tar.extractfile(member)
    return Image.open(io.BytesIO(content.read() if content else b""), formats=("JPEG",))
