"""An image in the terminal: by the protocols of iTerm2 and kitty where it knows one, else in half blocks.

Pillow is no dependency: where it cannot be imported and the terminal needs it, nothing is drawn.
"""

import base64
import io
import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

Protocol = Literal["iterm2", "kitty", "blocks"]

KITTY_BYTES = 4096  # of base64 in one escape, as the protocol wants
MAX_COLUMNS, MAX_LINES = 100, 40


def image_text(content: bytes, *, columns: int, environment: Mapping[str, str] = os.environ) -> str:
    """What draws the image when it is written to the terminal, at most `columns` wide; empty where nothing can."""
    protocol = protocol_of(environment)
    width = min(columns, MAX_COLUMNS)
    if protocol == "iterm2":
        return _iterm2(content, width)
    return _kitty(content, width) if protocol == "kitty" else _blocks(content, width)


def can_draw(stream: TextIO = sys.stdout, environment: Mapping[str, str] = os.environ) -> bool:
    return stream.isatty() and environment.get("TERM") != "dumb" and "NO_COLOR" not in environment


def protocol_of(environment: Mapping[str, str]) -> Protocol:
    """tmux and screen pass neither protocol on."""
    if environment.get("TMUX") or environment.get("TERM", "").startswith(("screen", "tmux")):
        return "blocks"
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm2"
    if environment.get("KITTY_WINDOW_ID") or environment.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    return "blocks"


def _iterm2(content: bytes, columns: int) -> str:
    encoded = base64.b64encode(content).decode()
    arguments = f"inline=1;size={len(content)};width={columns};preserveAspectRatio=1"
    return f"\x1b]1337;File={arguments}:{encoded}\x07\n"


def _kitty(content: bytes, columns: int) -> str:
    """The protocol takes PNG, and no JPEG."""
    png = _as_png(content)
    if png is None:
        return ""
    encoded = base64.b64encode(png).decode()
    parts = [encoded[start : start + KITTY_BYTES] for start in range(0, len(encoded), KITTY_BYTES)]
    lines = []
    for index, part in enumerate(parts):
        first = f"a=T,f=100,c={columns}," if index == 0 else ""
        lines.append(f"\x1b_G{first}m={int(index + 1 < len(parts))};{part}\x1b\\")
    return "".join(lines) + "\n"


def _as_png(content: bytes) -> bytes | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    written = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(written, "PNG")
    return written.getvalue()


def _blocks(content: bytes, columns: int) -> str:
    """Two pixels a character, one above the other: a half block in two colours."""
    try:
        from PIL import Image
    except ImportError:
        return ""
    with Image.open(io.BytesIO(content)) as image:
        scale = min(columns / image.width, 2 * MAX_LINES / image.height, 1.0)
        size = (max(1, round(image.width * scale)), max(2, round(image.height * scale) // 2 * 2))
        small = image.convert("RGB").resize(size)
    pixels = small.tobytes()
    rows = [pixels[start : start + 3 * size[0]] for start in range(0, len(pixels), 3 * size[0])]
    lines = [_block_line(upper, lower) for upper, lower in zip(rows[::2], rows[1::2], strict=True)]
    return "\n".join(lines) + "\n"


def _block_line(upper: bytes, lower: bytes) -> str:
    cells = []
    for at in range(0, len(upper), 3):
        above, below = ";".join(map(str, upper[at : at + 3])), ";".join(map(str, lower[at : at + 3]))
        cells.append(f"\x1b[38;2;{above};48;2;{below}m▀")
    return "".join(cells) + "\x1b[0m"
