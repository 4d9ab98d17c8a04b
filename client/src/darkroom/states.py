"""The states in which a dataset, a run or an operation stays."""

from __future__ import annotations

READY, SUCCEEDED = "ready", "succeeded"
DATASET_ENDED = frozenset({READY, "rejected", "failed", "deleted"})
RUN_ENDED = frozenset({SUCCEEDED, "failed", "cancelled"})
