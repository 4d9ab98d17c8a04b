"""The output of a model to boxes and probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.predictor.metadata import MetadataInvalid, Output
from pipeline.predictor.postprocess import OutputInvalid, boxes_of, probabilities, require_form, suppress
from pipeline.predictor.preprocess import Placement

WHOLE = Placement(1, 1, 0, 0, 320, 320)


def candidates(count: int, classes: int, seed: int) -> np.ndarray:
    """Boxes of whole pixels, so that no IoU is so near the limit that the order of additions decides."""
    rng = np.random.default_rng(seed)
    corner, sides = rng.integers(0, 60, (count, 2)), rng.integers(1, 40, (count, 2))
    scores = rng.permutation(count) / count + 0.001
    return np.column_stack((corner, corner + sides, scores, rng.integers(0, classes, count))).astype(np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(np.prod(a[2:4] - a[:2]) + np.prod(b[2:4] - b[:2]) - shared)


def brute_force(rows: np.ndarray, limit: float) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    for row in sorted(rows, key=lambda each: -each[4]):
        if all(row[5] != other[5] or iou(row, other) <= limit for other in kept):
            kept.append(row)
    return kept


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(1, 3), st.integers(0, 1000), st.sampled_from([0.3, 0.451, 0.7]))
def test_suppression_is_that_of_all_pairs(count: int, classes: int, seed: int, limit: float) -> None:
    rows = candidates(count, classes, seed)
    expected = brute_force(rows, limit)
    assert np.array_equal(suppress(rows, iou=limit, at_most=300), np.array(expected, np.float32).reshape(-1, 6))
    assert len(suppress(rows, iou=limit, at_most=5)) == min(5, len(expected))


@pytest.mark.parametrize(
    ("form", "shape"), [("anchors", (6, 0)), ("anchors", (6, 9)), ("queries", (9, 6)), ("kept-boxes", (9, 6))]
)
def test_an_output_without_boxes_is_none(form: str, shape: tuple[int, int]) -> None:
    assert boxes_of(np.zeros(shape, np.float32), Output(form), WHOLE, (320, 320)).shape == (0, 6)  # type: ignore[arg-type]


def test_ranked_queries_are_shares_of_the_input_with_a_score_and_a_class() -> None:
    raw = np.array([[0.5, 0.25, 0.5, 0.1, 0.9, 6], [0.5, 0.5, 1, 1, 0.2, 1]], np.float32)
    found = boxes_of(raw, Output("ranked-queries"), WHOLE, (320, 320))
    np.testing.assert_allclose(found, [[80, 64, 240, 96, 0.9, 6]], rtol=1e-6)


def test_thousands_of_boxes_are_limited_to_the_best() -> None:
    rng = np.random.default_rng(0)
    raw = np.concatenate((rng.uniform(0, 320, (2, 8400)), np.full((2, 8400), 2.0), rng.uniform(0, 1, (3, 8400))))
    found = boxes_of(raw.astype(np.float32), Output("anchors", min_score=0.001), WHOLE, (320, 320))
    assert len(found) == 300 and (np.diff(found[:, 4]) <= 0).all()
    assert found[-1, 4] > np.sort(raw[4:].max(axis=0))[-600]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_no_answer(value: float) -> None:
    raw = np.zeros((6, 9), np.float32)
    raw[0, 3] = value
    with pytest.raises(OutputInvalid, match="not finite"):
        boxes_of(raw, Output("anchors"), WHOLE, (320, 320))
    with pytest.raises(OutputInvalid, match="not finite"):
        probabilities(raw[0], "probabilities")


def test_probabilities_are_a_softmax_of_any_size() -> None:
    found = probabilities(np.array([1000.0, 1001.0, -1e30], np.float32), "logits")
    assert found == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e), 0])
    assert probabilities(np.log(np.array([1, 2, 5], np.float32)), "logits") == pytest.approx([0.125, 0.25, 0.625])


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        *(("anchors", (1, 7, 9)), ("anchors", (2, 6, 9)), ("anchors", (1, 6)), ("queries", (1, 6, 9))),
        *(("kept-boxes", (1, 6, 9)), ("logits", (1, 3)), ("logits", (1, 2, 1)), ("logits", ())),
    ],
)
def test_an_output_of_another_form_is_refused(form: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(MetadataInvalid, match=form):
        require_form(np.zeros(shape, np.float32), images=1, output=Output(form), classes=2)  # type: ignore[arg-type]
