"""The facts of images that were decoded for an earlier dataset: by their sha256, from its index."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pipeline.decode.image import DECODER
from pipeline.decode.image_facts import ImageFacts, Traits, facts_from

_FACTS = """SELECT sha256, width, height, format, phash, brightness, blur, mode, orientation, frames, odd, "end"
    FROM facts JOIN details USING (number) JOIN images USING (number)"""


def read_known(file: Path) -> dict[str, ImageFacts]:
    """Only of images that are kept as they are. Nothing where the index has no facts, or those of another decoder."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)) as index:
        if not index.execute("SELECT 1 FROM sqlite_master WHERE name = 'decoder'").fetchone():
            return {}
        if index.execute("SELECT name FROM decoder").fetchall() != [(DECODER,)]:
            return {}
        return {
            sha256.hex(): facts_from(
                Traits(*traits),
                upright=(width, height),
                format=name,
                phash=phash,
                end=end,
                brightness=brightness,
                blur=blur,
            )
            for sha256, width, height, name, phash, brightness, blur, *traits, end in index.execute(_FACTS)
        }
