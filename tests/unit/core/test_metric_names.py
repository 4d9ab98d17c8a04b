"""The names of metrics in MLflow: legal by its own validator, and two different ones are never the same."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_length_limit, _validate_metric_name

from core.tracking.metric_names import metric_name

ODD = (
    ".", "..", "...", "..a", "+", "=", "(", ")", "/", "//", "a/b", "7", "_", "_x", "_x_", "_x2B_", "_x2b_", "_x5F_x2B_",
    "_x5F", "x2B_", "C++", "50%", "-", "~", " ", "a b", "a  b", "🍎 apfel", "🍎", "apfel", "日本語", "é", "e\u0301",
    "{0}", "[x, y]", 'it\'s "q": #1', "\\", "", "\n", "a\n", "\x1b[31m", "\0", "\ud800", "NaN", "a:b",
    "x" * 200, "🍎" * 200, "🍎" * 199 + "🍏", "y" * 400, "y" * 401, "/" * 300,
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("test", "per_class", "star", "mAP50-95"), "test/per_class/star/mAP50-95"),
        (("system", "cpu_percent"), "system/cpu_percent"),
        (("test", "per_class", "日本語 2", "f1"), "test/per_class/日本語 2/f1"),
        (("test", "per_class", ".", "f1"), "test/per_class/_x2E_/f1"),
        (("test", "per_class", "..", "f1"), "test/per_class/_x2E_./f1"),
        (("test", "per_class", "C++", "f1"), "test/per_class/C_x2B__x2B_/f1"),
        (("test", "per_class", "a/b", "f1"), "test/per_class/a_x2F_b/f1"),
        (("test", "per_class", "a", "b", "f1"), "test/per_class/a/b/f1"),
        (("_x2B_",), "_x5F_x2B_"),
        (("",), "_x_"),
        (("_x_",), "_x5F_x_"),
        (("my_xylophone",), "my_xylophone"),
    ],
)
def test_a_name_is_kept_where_mlflow_accepts_it_and_else_written_in_codes(path: tuple[str, ...], name: str) -> None:
    assert metric_name(path) == name


def test_odd_class_names_have_legal_names_of_their_own() -> None:
    paths = [("test", "per_class", *parts, "f1") for parts in (*((name,) for name in ODD), *product(ODD, repeat=2))]
    paths += [(name,) for name in ODD]
    names = {metric_name(path) for path in paths}
    assert len(names) == len(set(paths))
    for name in names:
        require_legal(name)


def test_a_long_name_has_the_longest_length_and_keeps_its_end() -> None:
    limit = MAX_ENTITY_KEY_LENGTH
    whole, cut = ("a" * (limit - 1),), ("a" * limit,)
    assert metric_name(whole) == "a" * (limit - 1)
    assert len(metric_name(cut)) == limit and metric_name(cut) != metric_name((metric_name(cut),))
    assert metric_name(("test", "per_class", "🍎" * 200, "mAP50")).endswith("/mAP50")


names = st.text(st.sampled_from("_x2BF.+/ aé🍎\n"), max_size=12) | st.sampled_from(ODD) | st.text(max_size=300)
paths = st.lists(names, min_size=1, max_size=4).map(tuple)


@given(paths, paths)
def test_two_different_paths_never_have_one_name(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    require_legal(metric_name(left))
    assert (metric_name(left) == metric_name(right)) == (left == right)


def require_legal(name: str) -> None:
    _validate_metric_name(name)
    _validate_length_limit("key", MAX_ENTITY_KEY_LENGTH, name)
