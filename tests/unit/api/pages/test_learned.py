"""Of which trainings a page says that they have not learned anything."""

from typing import Any

import pytest

from api.pages.learned import unlearned_metric


@pytest.mark.parametrize(
    ("metrics", "params", "name"),
    [
        ({"test": {"mAP50": 0.0004, "mAP50-95": 0.2}}, {}, "mAP50"),
        ({"test": {"mAP50": 0.0005}}, {}, ""),
        ({"val": {"accuracy": 0.0}}, {}, "accuracy"),
        ({"val": {"accuracy": 0.0}, "test": {"accuracy": 0.3}}, {}, ""),
        ({"test": {"accuracy": 0.0}}, {"mode": "zero-shot"}, ""),
        ({}, {}, ""),
    ],
)
def test_by_the_main_metric_as_three_digits_show_it(metrics: dict[str, Any], params: dict[str, Any], name: str) -> None:
    assert unlearned_metric(metrics, params) == name
