"""Of a detector that has no box above its thresholds: which of its best boxes must be in the export."""

from pipeline.dataset.predictions import PredictedBox
from pipeline.export.bounds import BOUNDS
from pipeline.export.certificate import _agreement, _Answers
from pipeline.export.comparison import Agreement


def _box(place: int, score: float) -> PredictedBox:
    return PredictedBox("disc", 0, score, 50.0 * place, 0.0, 50.0 * place + 40, 40.0)


def _compared(model: list[PredictedBox], export: list[PredictedBox]) -> Agreement:
    sides = (_Answers([tuple(model)], []), _Answers([tuple(export)], []))
    return _agreement(*sides, [0.9], BOUNDS["fp32"], "detection")


def test_a_missing_box_counts_only_where_chance_does_not_decide() -> None:
    low = [_box(place, 0.003) for place in range(3)]
    assert _compared(low, low) == Agreement(3, 3)
    assert _compared(low, low[:2]) == Agreement(2, 2)
    assert _compared(low, [_box(7, 0.003)]) == Agreement(0, 0)  # nothing was compared: a certificate refuses that
    sure = [_box(5, 0.4), *low]
    assert _compared(sure, low) == Agreement(4, 3)
    assert _compared(sure, sure) == Agreement(4, 4)
