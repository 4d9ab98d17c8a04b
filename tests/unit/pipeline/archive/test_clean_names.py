"""Names are split and cleaned without pathlib, and without normalising what is ASCII: the answers are the same."""

import re
import unicodedata
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.zip_names import clean_name
from pipeline.layouts.yolo import tree_stems

_PARTS = [
    *("a", "B", "1", ".", "..", "/", "//", "\\", "-", "_", " ", "\n", "\0"),
    *(".jpg", "é", "e\u0301", "ﬁ", "日", "\ud800"),
]
_NAMES = st.one_of(st.lists(st.sampled_from(_PARTS), max_size=9).map("".join), st.text(max_size=9))


@given(_NAMES)
def test_a_clean_name_is_that_of_the_rule_for_all_names(name: str) -> None:
    parts = [part for part in unicodedata.normalize("NFC", name.replace("\\", "/")).split("/") if part != "."]
    kept = [part for at, part in enumerate(parts) if part or at in (0, len(parts) - 1)]
    assert clean_name(name) == "/".join(kept)


@given(_NAMES.filter(lambda name: name.isprintable()))
def test_the_stem_of_an_image_is_that_of_pathlib(path: str) -> None:
    plain = unicodedata.normalize("NFKD", PurePosixPath(path).stem).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:80]
    found = tree_stems([path])[path]
    assert found == stem or (not stem and found.startswith("image-"))
