"""One style for all plots: quiet axes, and colours that colour-blind readers can distinguish."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"

# Okabe and Ito (2008), without its yellow, which is lost on white; then darker and lighter neighbours.
PALETTE = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#7b4fb5", "#8c564b", "#17becf", "#9a9a00", "#c2255c", "#3b5b92"),
)

_FALLBACK_FONTS = ("Noto Sans CJK JP", "Noto Sans", "WenQuanYi Zen Hei", "Hiragino Sans", "Arial Unicode MS")

_STYLE = {
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.dpi": 120,
}

_PRINTABLE_ASCII = frozenset(range(ord(" "), ord("~") + 1))  # which DejaVu Sans has


def colour(index: int) -> str:
    """The colour of a class, as #rrggbb."""
    return PALETTE[index % len(PALETTE)]


@contextmanager
def figure(target: Path | BinaryIO, width: float, height: float) -> Iterator[Any]:
    """A matplotlib Figure of `width` x `height` inches, a PNG in `target` at the end. Needs no display nor pyplot."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box is drawn instead
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn
        drawn.savefig(target, format="png")


def import_matplotlib() -> None:
    """What `figure` needs of it: a third of a second, ahead of the first figure."""
    import_module("matplotlib.backends.backend_agg")
    import_module("matplotlib.figure")


def _fonts() -> list[str]:
    """DejaVu Sans, which comes with matplotlib and has no CJK, then those of the fallbacks that are installed."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)]


def face_for(texts: Iterable[str]) -> str | None:
    """The font file that has most of the characters of `texts`: DejaVu Sans, or one of this machine's."""
    wanted = {ord(char) for text in texts for char in text}
    if wanted <= _PRINTABLE_ASCII:
        return _own_face()
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    from matplotlib.ft2font import FT2Font

    installed = set(fontManager.get_font_names())
    faces = [
        str(findfont(FontProperties(family=name))) for name in ("DejaVu Sans", *_FALLBACK_FONTS) if name in installed
    ]
    missing: dict[str, int] = {}
    for face in faces:
        missing[face] = len(wanted - set(FT2Font(face).get_charmap()))
        if not missing[face]:
            break  # those that follow may have a hundred thousand characters
    return min(missing, key=lambda face: missing[face], default=None)  # of equals the first


def _own_face() -> str | None:
    """DejaVu Sans of matplotlib, found without importing that, which takes a quarter of a second."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


def shorten(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: a class may be called `$\\frac$`."""
    return text.replace("$", r"\$")
