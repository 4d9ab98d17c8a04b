"""Slugs: the names of projects in addresses and in `raccoons/v7`.

A slug has lower-case ASCII letters, digits and single hyphens, a letter or a digit first and last, at most 63. What the
grammar of models reads as something else (`v3`, `d2`, `latest`) is none.
"""

import re
import unicodedata

MAX_SLUG = 63
PATTERN = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_SLUG = re.compile(PATTERN)
_RESERVED = re.compile(r"[vd]\d+|latest|new")
_SUFFIX = 8  # characters of an id, 40 random bits


def is_slug(text: str) -> bool:
    return len(text) <= MAX_SLUG and _SLUG.fullmatch(text) is not None and _RESERVED.fullmatch(text) is None


def slug_with_suffix(name: str, unique_id: str, *, characters: int = _SUFFIX) -> str:
    """`slug_with_suffix("Raccoons 2026.zip", "job_...9f3k2m1x")` -> `raccoons-2026-9f3k2m1x`."""
    return f"{slug_of(name)[: MAX_SLUG - characters - 1].strip('-')}-{unique_id[-characters:]}"


def slug_of(name: str) -> str:
    """`Raccoons 2026.zip` -> `raccoons-2026`; `dataset` where nothing of it is left. It may be a reserved word."""
    stem = name.removesuffix(".zip")
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only)[:MAX_SLUG].strip("-") or "dataset"
