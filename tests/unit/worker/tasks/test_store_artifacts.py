"""The metrics that a version's row keeps of those that its trainer wrote."""

import json
from pathlib import Path
from typing import Any

from core.domain.limits import CLASSES_LISTED
from worker.tasks.store_artifacts import METRICS_FILE, read_metrics


def _metrics(classes: int) -> dict[str, Any]:
    names = [f"class {number}" for number in range(classes)]
    matrix = {"labels": names, "matrix": [[0] * classes] * classes}
    return {"mAP50": 0.9, "per_class": {name: {"images": 1} for name in names}, "confusion_matrix": matrix}


def test_the_metrics_of_many_classes_are_shortened_in_answers(tmp_path: Path) -> None:
    few, many = _metrics(CLASSES_LISTED), _metrics(CLASSES_LISTED + 1)
    thresholds = {"all": 0.4, "source": "val", "classes": dict.fromkeys(many["per_class"], 0.3)}
    (tmp_path / METRICS_FILE).write_text(json.dumps({"val": few, "test": many, "thresholds": thresholds}))
    kept = read_metrics(tmp_path)
    assert kept["val"] == few
    assert kept["test"].keys() == {"mAP50", "per_class", "class_count"}
    assert kept["test"]["per_class"] == few["per_class"]
    assert kept["test"]["class_count"] == CLASSES_LISTED + 1
    assert (kept["thresholds"]["all"], kept["thresholds"]["source"]) == (0.4, "val")
    assert kept["thresholds"]["classes"].keys() == few["per_class"].keys()
