"""The model card of a version, read out of its bundle and rendered."""

import hashlib
import re

from markdown_it import MarkdownIt
from markupsafe import Markup

from core.db.tables import BundleRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.storage import ObjectMissing
from pipeline.bundle.zip_layout import Record

CARD = "README.md"
MOST_BYTES = 1_000_000
_IMAGES = re.compile(r'(<img src=")images/')
_ALIGNED = re.compile(r' style="text-align:(left|right|center)"')  # the policy of pages allows no style attribute
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def model_card(platform: Platform, bundle: BundleRow, *, artifacts: str) -> Markup | None:
    """As HTML without its title; its images are read below the address `artifacts`. None where the bundle has none.

    Raises Unavailable where the bundle is missing from the store.
    """
    text = _read(platform, bundle)
    if text is None:
        return None
    body = _FRONT_MATTER.sub("", text).lstrip()
    body = body.partition("\n")[2] if body.startswith("# ") else body
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    html = _ALIGNED.sub(r' class="\1"', _IMAGES.sub(rf"\1{artifacts}/", html))
    return Markup(html)  # noqa: S704 - escaped by the renderer


def _read(platform: Platform, bundle: BundleRow) -> str | None:
    """A bundle stores its files one behind the other, in the order of its contents."""
    at = 0
    for each in bundle.contents:
        record = Record(name=each["name"], bytes=each["bytes"], crc=0, at=at)
        if record.name == CARD and 0 < record.bytes <= MOST_BYTES:
            try:
                chunks = platform.store.open(bundle.key, start=record.data_at, end=record.end - 1)
                content = b"".join(chunks)
            except ObjectMissing as error:
                raise Unavailable("The bundle is missing from the object store.", service="store") from error
            whole = hashlib.sha256(content).hexdigest() == each["sha256"]
            return content.decode() if whole else None
        at = record.end
    return None
