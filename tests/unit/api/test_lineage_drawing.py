"""Parts of the drawn lineage: text that fits and that XML may contain, lines that reach every child."""

import pytest

from api.web.lineage_layout import Rail
from api.web.lineage_lines import line_to
from api.web.svg_text import clean, fitted, width_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raccoons 浣熊 🦝", "raccoons 浣熊 🦝"),
        ("two\nlines\t", "two lines"),
        ("\x00\x0b\ud800\u202etxt.exe\u2066", "\ufffd\ufffd\ufffd\ufffdtxt.exe\ufffd"),
    ],
)
def test_text_is_what_xml_may_contain(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize("text", ["wwwwwwwwwwwwwwww", "浣熊の写真データセット", "January, all cameras.zip"])
@pytest.mark.parametrize("width", [40.0, 90.0])
def test_text_is_cut_where_it_is_too_wide(text: str, width: float) -> None:
    cut = fitted(text, width=width, size=12)
    assert cut.endswith("…") and width_of(cut, 12) <= width
    assert fitted(text, width=400, size=12) == text


def test_the_lines_of_a_parent_reach_children_above_below_and_beside_it() -> None:
    ends = ((90.0, 10.0), (90.0, 50.0), (90.0, 100.0), (90.0, 150.0), (90.0, 200.0))
    rail = Rail("trained-on", "d1", start=(0.0, 100.0), x=40.0, ends=ends)
    lines = [line_to(rail, end) for end in ends]
    assert lines[2] == "M0 100H90", "straight"
    assert [line.startswith("M0 100H34") for line in lines] == [True, False, False, False, True]
    assert [line.rpartition("H")[2] for line in lines] == ["90"] * 5
    assert lines[1] == "M40 56Q40 50 46 50H90" and lines[3] == "M40 144Q40 150 46 150H90"
