"""How long the stages of attempts take, as totals for /metrics."""

from bisect import bisect_left

from core.db import Database
from core.db.totals import add_total

STAGE_SECONDS, STAGE_COUNT = "stage_seconds", "stage_count"
BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)  # upper ends, in seconds
ABOVE = "+Inf"
# Others are counted as `other`: a child writes the names, and each is a row for good.
STAGES = frozenset(
    {"fetching", "importing", "converting", "repairing", "extracting", "reading", "checking", "splitting", "drawing"}
    | {"fingerprinting", "writing", "storing", "loading", "training", "evaluating", "packing", "publishing"}
    | {"waiting-for-room"}
)


def add_stage(db: Database, noun: str, stage: str, seconds: float) -> None:
    """Add the duration of a stage that has ended, of a `job` or a `run`."""
    labels = {"of": noun, "stage": stage if stage in STAGES else "other"}
    index = bisect_left(BUCKETS, seconds)
    at_most = str(BUCKETS[index]) if index < len(BUCKETS) else ABOVE
    with db.transaction() as session:
        add_total(session, STAGE_SECONDS, labels, seconds)
        add_total(session, STAGE_COUNT, {**labels, "at_most": at_most})
