"""The facts of images that were decoded for an earlier dataset: by their sha256, from its index."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.decode.image import DECODER
from pipeline.decode.image_facts import ImageFacts, Traits, facts_from

_FACTS = """SELECT sha256, width, height, format, phash, brightness, blur, mode, orientation, frames, odd, "end"
    FROM facts JOIN details USING (number) JOIN images USING (number)"""
_FEW = 500  # values of one statement


def read_known(file: Path) -> dict[str, ImageFacts]:
    """Only of images that are kept as they are. Nothing where the index has no facts, or those of another decoder."""
    with _open(file) as index:
        return _by_sha256(index.execute(_FACTS)) if _has_facts(index) else {}


def find_known(file: Path, digests: Iterable[str]) -> dict[str, ImageFacts]:
    """As `read_known`, of the images with these sha256."""
    wanted = [bytes.fromhex(digest) for digest in digests]
    found: dict[str, ImageFacts] = {}
    with _open(file) as index:
        if not _has_facts(index):
            return found
        for first in range(0, len(wanted), _FEW):
            few = wanted[first : first + _FEW]
            found |= _by_sha256(index.execute(f"{_FACTS} WHERE sha256 IN ({', '.join('?' * len(few))})", few))
    return found


def _open(file: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True))


def _has_facts(index: sqlite3.Connection) -> bool:
    if not index.execute("SELECT 1 FROM sqlite_master WHERE name = 'decoder'").fetchone():
        return False
    return index.execute("SELECT name FROM decoder").fetchall() == [(DECODER,)]


def _by_sha256(rows: Iterable[tuple[Any, ...]]) -> dict[str, ImageFacts]:
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
        for sha256, width, height, name, phash, brightness, blur, *traits, end in rows
    }
