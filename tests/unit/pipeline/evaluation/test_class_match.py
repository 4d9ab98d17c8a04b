"""Classes of a dataset and of a model, matched by name."""

import pytest

from core.domain.errors import NoSharedClass
from pipeline.evaluation.class_match import match_classes


@pytest.mark.parametrize(
    ("dataset", "model", "pairs"),
    [
        (["a", "b"], ["b", "a"], [("a", "a"), ("b", "b")]),
        (["Fire Truck", "car"], ["fire_truck", "bus"], [("Fire Truck", "fire_truck")]),
        (["cat", "Cat"], ["cat"], [("cat", "cat")]),  # the equal one is taken, and then none is left
        (["CAT"], ["cat", "Cat"], None),  # either may be meant
        (["CAT", "Cat", "dog"], ["cat", "dog"], [("dog", "dog")]),
        (["Cat", "x"], ["Cat", "cat", "x"], [("Cat", "Cat"), ("x", "x")]),
        (["straße"], ["STRASSE"], [("straße", "STRASSE")]),
        (["-", "_"], ["_"], [("_", "_")]),  # names without a letter are equal only as they are
        (["-1", "1"], ["1", "0"], [("1", "1")]),
        (["1-1", "A-", "2"], ["11", "A", "2"], [("2", "2")]),  # with a hyphen it is another number or grade
        (["1 0"], ["10"], None),
        (
            ["class 1", " T-Junction 10 20"],
            ["Class_1", "t junction 10-20"],
            [("class 1", "Class_1"), (" T-Junction 10 20", "t junction 10-20")],
        ),
        (["a"], ["b"], None),
    ],
)
def test_equal_names_first_then_spellings_that_are_not_ambiguous(
    dataset: list[str], model: list[str], pairs: list[tuple[str, str]] | None
) -> None:
    if pairs is None:
        with pytest.raises(NoSharedClass):
            match_classes(dataset, model)
        return
    match = match_classes(dataset, model)
    assert [(match.dataset[ours], match.model[theirs]) for ours, theirs in match.pairs] == pairs
    assert set(match.shared) | set(match.missing) == set(dataset)
    assert len(match.extra) == len(model) - len(pairs)
    assert [list(match.of_dataset()).index(place) for place in range(len(pairs))] == [ours for ours, _ in match.pairs]
