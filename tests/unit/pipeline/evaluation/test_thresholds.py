"""The thresholds that val chooses, for detectors and classifiers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support

from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.matched_predictions import (
    CONFIDENCES,
    MatchedPredictions,
    coverage_above,
    f1_by_confidence,
    figures_above,
    matched_boxes,
    matched_labels,
)
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.evaluation.thresholds import (
    MIN_WANTED,
    Thresholds,
    choose_thresholds,
    published_thresholds,
    with_thresholds,
)

NAMES = ("a", "b", "c")


def matched(rows: list[tuple[float, int, bool]], wanted: list[int]) -> MatchedPredictions:
    """`rows`: score, class, whether it is right."""
    scores, classes, correct = zip(*rows, strict=True) if rows else ((), (), ())
    return MatchedPredictions(
        np.array(scores, float), np.array(classes, int), np.array(correct, bool), np.array(wanted)
    )


@st.composite
def any_matched(draw: st.DrawFn) -> MatchedPredictions:
    """No class has more right predictions than there are to be found."""
    rows = draw(
        st.lists(st.tuples(st.floats(0.001, 1), st.integers(0, len(NAMES) - 1), st.booleans()), min_size=0, max_size=30)
    )
    right = [sum(index == each and hit for _, each, hit in rows) for index in range(len(NAMES))]
    missed = draw(st.lists(st.integers(0, 9), min_size=len(NAMES), max_size=len(NAMES)))
    return matched(rows, [one + other for one, other in zip(right, missed, strict=True)])


@given(any_matched())
def test_no_confidence_has_a_better_f1_than_the_threshold(found: MatchedPredictions) -> None:
    chosen = choose_thresholds(found, NAMES, kind="detection")
    curves = f1_by_confidence(found)
    places = {value: place for place, value in enumerate(CONFIDENCES)}
    for index, name in enumerate(NAMES):
        if chosen.sources[name] == "val":
            reached = figures_above(found, [chosen.classes[name]] * len(NAMES))[index]
            assert reached is not None and reached.f1 == pytest.approx(curves[index].max(), abs=1e-8)
        else:
            assert found.wanted[index] < MIN_WANTED or curves[index].max() == 0
            assert chosen.classes[name] == chosen.all
    if chosen.source == "val":
        mean = curves[found.wanted > 0].mean(axis=0)
        assert mean[places[chosen.all]] == pytest.approx(mean.max(), abs=1e-8)
    else:
        assert chosen.all == 0.25 and set(chosen.sources.values()) <= {"val", "default"}


@given(any_matched(), st.randoms(use_true_random=False))
def test_the_order_of_the_predictions_changes_nothing(found: MatchedPredictions, random: Any) -> None:
    order = list(range(len(found.scores)))
    random.shuffle(order)
    shuffled = MatchedPredictions(found.scores[order], found.classes[order], found.correct[order], found.wanted)
    assert choose_thresholds(shuffled, NAMES, kind="detection") == choose_thresholds(found, NAMES, kind="detection")


@given(any_matched())
def test_the_curve_is_that_of_the_figures_at_each_confidence(found: MatchedPredictions) -> None:
    curves = f1_by_confidence(found)
    for place in range(0, len(CONFIDENCES), 111):
        figures = figures_above(found, [float(CONFIDENCES[place])] * len(NAMES))
        assert [one.f1 if one else 0 for one in figures] == pytest.approx(list(curves[:, place]))


@given(arrays(float, (12, 3), elements=st.floats(0.01, 1)), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_the_figures_of_a_classifier_are_those_of_scikit_learn(values: Any, labels: list[int]) -> None:
    """An unsure answer is a fourth class, which no image has."""
    probabilities = values / values.sum(axis=1, keepdims=True)
    split = SplitPredictions(NAMES, ("",) * 12, np.array(labels), probabilities)
    thresholds = (0.4, 0.5, 0.45)
    best = probabilities.argmax(axis=1)
    answers = np.where(probabilities.max(axis=1) > np.array(thresholds)[best], best, 3)
    expected = precision_recall_fscore_support(labels, answers, labels=[0, 1, 2], zero_division=0)
    for index, one in enumerate(figures_above(matched_labels(split), thresholds)):
        if one is None:
            assert index not in labels
        else:
            assert (one.precision, one.recall, one.f1) == pytest.approx([each[index] for each in expected[:3]])


def test_between_right_and_wrong_predictions_the_threshold_is_in_the_middle() -> None:
    right = [(0.8 + index / 100, 0, True) for index in range(5)]
    wrong = [(0.4, 0, False), (0.2, 0, False)]
    assert choose_thresholds(matched(right + wrong, [5]), ["a"], kind="detection").classes == {"a": 0.599}


def test_of_two_equally_good_ranges_the_wider_one_is_taken() -> None:
    """F1 is 10/11 below 0.2, where one is wrong, and 8/9 above 0.3, where one is missing; 1 lies between."""
    rows = [(0.9, 0, True)] * 4 + [(0.3, 0, True), (0.2, 0, False)]
    assert choose_thresholds(matched(rows, [5]), ["a"], kind="detection").all == 0.249
    ranges = [(0.9, 0, True)] * 4 + [(0.8, 0, False)] * 2 + [(0.6, 0, True)] * 2  # 0.8 above 0.8, and below 0.6
    found = choose_thresholds(matched(ranges, [6]), ["a"], kind="detection")
    assert f1_by_confidence(matched(ranges, [6]))[0][[100, 700, 850]] == pytest.approx([12 / 14, 8 / 12, 8 / 10])
    assert found.all == 0.3


@pytest.mark.parametrize(
    ("found", "source", "sources", "whole"),
    [
        (None, "default", ("default",) * 3, 0.25),
        (matched([(0.9, 0, True)] * 4, [MIN_WANTED - 1, 0, 0]), "default", ("default",) * 3, 0.25),
        (matched([(0.9, 0, False)] * 9, [9, 9, 9]), "default", ("default",) * 3, 0.25),
        (matched([(0.9, 0, True)] * 9, [9, 2, 0]), "val", ("val", "all", "all"), 0.45),
        (matched([(0.9, 0, True), (0.7, 1, True), (0.5, 2, True)], [2, 2, 2]), "val", ("all",) * 3, 0.25),
    ],
    ids=["no val", "too few", "never right", "classes without enough", "only all have enough"],
)
def test_where_val_cannot_choose_it_says_so(
    found: MatchedPredictions | None, source: str, sources: tuple[str, ...], whole: float
) -> None:
    chosen = choose_thresholds(found, NAMES, kind="detection")
    assert (chosen.source, tuple(chosen.sources.values()), chosen.all) == (source, sources, whole)
    assert choose_thresholds(None, NAMES, kind="classification").all == 0, "without a threshold no answer is unsure"


def test_a_classifier_is_right_more_often_where_it_is_sure() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.3, 0.7]])
    found = matched_labels(SplitPredictions(("a", "b"), ("",) * 4, np.array([0, 0, 0, 1]), probabilities))
    assert coverage_above(found, (0.5, 0.6)) == (0.75, 1)
    assert coverage_above(found, (0.0, 0.0)) == (1, 0.75)
    assert coverage_above(found, (0.95, 0.95)) == (0, None)


def test_boxes_are_matched_as_for_map50() -> None:
    truth = np.array([[0, 0, 0, 10, 10], [1, 20, 20, 30, 30]], float)
    predicted = np.array([[0, 0, 10, 9, 0.9, 0], [20, 20, 30, 30, 0.8, 0], [50, 50, 60, 60, 0.7, 1]], float)
    found = matched_boxes([ImageBoxes(truth, predicted), ImageBoxes(np.zeros((0, 5)), np.zeros((0, 6)))], 3)
    assert found.correct.tolist() == [True, False, False] and found.wanted.tolist() == [1, 1, 0]
    assert matched_boxes([], 2).wanted.tolist() == [0, 0]


def test_metrics_say_what_the_model_achieves_with_its_thresholds() -> None:
    thresholds = Thresholds(0.5, "val", {"a": 0.6, "b": 0.5, "c": 0.5}, {"a": "val", "b": "all", "c": "all"})
    found = matched([(0.9, 0, True), (0.55, 0, False), (0.7, 1, True), (0.6, 1, False)], [2, 1, 0])
    metrics = {"val": None, "test": {"f1": 0.3, "per_class": {name: {"f1": 0.1} for name in NAMES}}}
    written = with_thresholds(metrics, {"test": found}, thresholds)
    test = written["test"]
    assert test["per_class"]["a"] == {"f1": 0.1, "at_threshold": {"precision": 1, "recall": 0.5, "f1": 0.66667}}
    assert test["per_class"]["b"]["at_threshold"] == {"precision": 0.5, "recall": 1, "f1": 0.66667}
    assert test["per_class"]["c"]["at_threshold"] == {"precision": None, "recall": None, "f1": None}
    assert test["at_threshold"] == {"precision": 0.75, "recall": 0.75, "f1": 0.66667}
    assert (written["val"], test["f1"], written["thresholds"]["classes"]["a"]) == (None, 0.3, 0.6)
    assert "at_threshold" not in metrics["test"], "the metrics that were given stay as they are"  # type: ignore[operator]


def test_thresholds_are_read_from_beside_the_weights_that_model_json_names(tmp_path: Path) -> None:
    chosen = choose_thresholds(matched([(0.9, 0, True)] * 9, [9, 2, 0]), NAMES, kind="detection")
    written = with_thresholds({"val": None}, {}, chosen)
    assert published_thresholds(tmp_path) is None
    (tmp_path / "metrics.json").write_text(json.dumps(written))
    (tmp_path / "model.json").write_text(json.dumps({"weights": {"name": "best.pt"}}))
    assert published_thresholds(tmp_path) == published_thresholds(tmp_path / "best.pt") == chosen
    assert published_thresholds(tmp_path / "other.pt") is None
    assert chosen.of(["c", "new", "a"]) == (0.45, 0.45, 0.45)
    (tmp_path / "metrics.json").write_text(json.dumps({"val": None}))
    assert published_thresholds(tmp_path) is None
    (tmp_path / "metrics.json").write_text(json.dumps({"thresholds": {"all": 0.4}}))
    with pytest.raises(ValueError, match=r"metrics\.json cannot be read"):
        published_thresholds(tmp_path)
