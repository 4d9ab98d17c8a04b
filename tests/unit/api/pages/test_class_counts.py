"""The rows of a dataset's classes."""

import re

from api.pages.class_counts import class_rows

HOSTILE = "<img src=x>&\"' %"


def test_the_class_with_the_most_is_first_and_the_longest_bar_is_as_long_as_it_has_boxes() -> None:
    per_class = {
        HOSTILE: {"boxes": {"total": 2000, "train": 1500, "val": 500}, "images": {"total": 7}},
        "empty": {},
        "most": {"boxes": {"total": 4000, "train": 1000, "test": 3000}, "images": {"total": 3}},
    }
    most, hostile, empty = class_rows("job_1", per_class, "boxes")
    assert re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', most) == [
        ("0.000", "25.000"),
        ("25.000", "0.000"),
        ("25.000", "75.000"),
    ]
    assert 'class="class-name c2"' in most and "<title>test: 3,000</title>" in most
    assert most.endswith('<td class="right">4,000</td><td class="right wide-only">3</td></tr>')
    assert "<img" not in hostile and "&lt;img src=x&gt;&amp;&#34;&#39; %</bdi>" in hostile
    assert 'images?class=%3Cimg%20src%3Dx%3E%26%22%27%20%25"' in hostile
    assert 'aria-label="train 0, val 0, test 0"' in empty
    assert class_rows("job_1", {}, "boxes") == []


def test_of_a_classifier_images_are_counted_once() -> None:
    (row,) = class_rows("job_1", {"cat": {"images": {"total": 5, "train": 5}}}, "images")
    assert row.count("<td") == 3 and '<td class="right">5</td></tr>' in row
