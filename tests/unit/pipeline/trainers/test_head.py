"""Which rows of a parent's head are kept, and how a run says it."""

import pytest

from pipeline.trainers.head import head_note, rows_of_both


@pytest.mark.parametrize(
    ("parent", "classes", "rows", "note"),
    [
        ("abc", "cad", {0: 2, 1: 0}, "kept 2 of 3 classes: c, a; new: d; dropped: b"),
        ("ab", "ab", {0: 0, 1: 1}, "kept 2 of 2 classes: a, b"),
        ("ab", "AB", {}, "kept 0 of 2 classes; new: A, B; dropped: a, b"),
        ("abcdefghijkl", "a", {0: 0}, "kept 1 of 1 classes: a; dropped: b, c, d, e, f, g, h, i, j, k and 1 more"),
    ],
)
def test_rows_are_kept_by_the_exact_name_of_their_class(
    parent: str, classes: str, rows: dict[int, int], note: str
) -> None:
    assert rows_of_both([*parent], [*classes]) == rows
    assert head_note([*parent], [*classes]) == note
