"""What a batch came to, in numbers."""

from collections import Counter, defaultdict
from typing import Any

from core.domain.limits import CLASSES_LISTED
from pipeline.batch.answered import Answered
from pipeline.predictor.predictor import NotComputed, Prediction

FAILURES_LISTED = 20


class Summary:
    """Counted image by image, in constant memory."""

    def __init__(self) -> None:
        self.images = 0
        self.not_computed = ""  # why the engine failed on an image, the first time
        self._failed = 0
        self._failures: list[dict[str, str]] = []
        self._boxes = 0
        self._empty = 0
        self._unsure = 0
        self._classes: Counter[str] = Counter()
        self._milliseconds: defaultdict[str, float] = defaultdict(float)

    def add(self, answered: Answered) -> None:
        self.images += 1
        result = answered.result
        if not isinstance(result, Prediction):
            self._fail(answered.image.name, result.reason)
            if isinstance(result, NotComputed):
                self.not_computed = self.not_computed or result.reason
            return
        self._boxes += len(result.boxes)
        self._empty += not (result.boxes or result.labels)
        self._unsure += bool(result.labels) and not result.labels[0].is_sure
        self._classes.update(box.label for box in result.boxes)
        self._classes.update(label.label for label in result.labels[:1])
        for stage, value in result.milliseconds.items():
            self._milliseconds[stage] += value

    @property
    def is_any_predicted(self) -> bool:
        return self.images > self._failed

    def as_json(self, *, kind: str, seconds: float) -> dict[str, Any]:
        """`milliseconds`: the mean of each stage over the images that were predicted. `classes`: boxes of each class,
        or images whose most probable class it is; the most frequent ones of many."""
        predicted = self.images - self._failed
        of_kind = {"boxes": self._boxes} if kind == "detection" else {"unsure": self._unsure}
        return {
            "kind": kind,
            "images": self.images,
            "failed": self._failed,
            **of_kind,
            "empty": self._empty,
            "classes": dict(self._classes.most_common(CLASSES_LISTED)),
            "milliseconds": {name: round(total / predicted, 3) for name, total in self._milliseconds.items()},
            "seconds": round(seconds, 3),
            "failures": self._failures,
        }

    def _fail(self, name: str, reason: str) -> None:
        self._failed += 1
        if len(self._failures) < FAILURES_LISTED:
            self._failures.append({"image": name[:200], "error": reason[:300]})
