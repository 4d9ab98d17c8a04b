"""Text from an upload stays text in a spreadsheet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.spreadsheet import as_text_cell

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
BLANKS = " \t\r\n\u00a0\u3000"


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "\t", "\r", "\n", "\r\n", "\u00a0", "\u3000", " \t \n"])
def test_a_formula_behind_any_blanks_gets_an_apostrophe(before: str, sign: str) -> None:
    formula = f"{before}{sign}cmd|' /C calc'!A0"
    assert as_text_cell(formula) == f"'{formula}"


@given(before=st.text(BLANKS), sign=st.sampled_from(SIGNS), rest=st.text())
def test_no_formula_passes_unchanged(before: str, sign: str, rest: str) -> None:
    assert as_text_cell(before + sign + rest) == f"'{before}{sign}{rest}"


@pytest.mark.parametrize("text", ["\traccoon", "\rraccoon", "\nraccoon", " \traccoon"])
def test_a_leading_tab_or_line_break_gets_an_apostrophe(text: str) -> None:
    assert as_text_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", " ", "raccoon", " raccoon", "a=1", "1-2.jpg", "a\n=b", "'=1", "Füchse/１.jpg"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert as_text_cell(text) == text


@given(st.text())
def test_a_cell_is_the_text_with_at_most_one_apostrophe_in_front(text: str) -> None:
    assert as_text_cell(text) in (text, f"'{text}")
