"""The font file for texts that are drawn with Pillow."""

from functools import lru_cache


@lru_cache(maxsize=256)
def face_of(texts: frozenset[str]) -> str | None:
    """Texts in ASCII need no search: Pillow's own font, None, has them. Importing matplotlib takes half a second."""
    if all(text.isascii() for text in texts):
        return None
    from pipeline.plots.style import face_for

    return face_for(texts)
