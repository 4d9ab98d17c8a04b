"""When two predictions of an image count as equal."""

import pytest

from pipeline.dataset.predictions import PredictedLabel
from pipeline.export.bounds import BOUNDS
from pipeline.export.comparison import Agreement, agreement_of_labels


def labels(*scores: tuple[int, float]) -> list[PredictedLabel]:
    return [PredictedLabel(str(index), index, score) for index, score in scores]


@pytest.mark.parametrize(
    ("precision", "found", "expected"),
    [
        ("fp32", labels((0, 0.505), (1, 0.495)), Agreement(1, 1)),
        ("fp32", labels((0, 0.52), (1, 0.48)), Agreement(1, 0)),
        ("fp32", labels((1, 0.5005), (0, 0.4995)), Agreement(1, 1, 1)),  # 0.502 and 0.498: either may be the first
        ("fp32", labels((1, 0.52), (0, 0.48)), Agreement(1, 0)),
        ("fp32", labels((2, 0.5005), (0, 0.4995)), Agreement(1, 0)),
        ("int8", labels((1, 0.5005), (0, 0.4995)), Agreement(1, 0)),  # the fall of the metric decides
    ],
)
def test_two_classes_as_probable_as_each_other_may_change_places(
    precision: str, found: list[PredictedLabel], expected: Agreement
) -> None:
    wanted = labels((0, 0.502), (1, 0.498))
    assert agreement_of_labels(wanted, found, BOUNDS[precision]) == expected  # type: ignore[index]
