"""The states of a job, a run and an operation, and every move that exists, as data.

job:  received -> preparing -> ready | rejected (the user's data) | failed (the service's fault, retryable) -> deleted
run:  queued -> running -> succeeded | failed;  running -> cancelling -> cancelled
operation: as a run
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class JobState(StrEnum):
    RECEIVED = "received"
    PREPARING = "preparing"
    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"
    DELETED = "deleted"


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The moves of one kind of work, and the part that each state plays when a worker claims a row."""

    moves: Mapping[StrEnum, frozenset[StrEnum]]
    waiting: StrEnum  # a worker may claim it; a lost or returned claim ends here
    working: StrEnum  # a worker holds the claim
    succeeded: StrEnum
    failed: StrEnum
    activity: str  # completes "3 workers were lost while ..."
    cancelling: StrEnum | None = None  # a worker holds the claim and was requested to stop
    cancelled: StrEnum | None = None

    @property
    def active(self) -> frozenset[StrEnum]:
        """The states in which a worker holds the claim."""
        return frozenset(state for state in (self.working, self.cancelling) if state is not None)

    @property
    def ended(self) -> frozenset[StrEnum]:
        return frozenset(self.moves) - self.active - {self.waiting}

    def sources(self, to: StrEnum) -> frozenset[StrEnum]:
        """The states from which a row may move to `to`."""
        return frozenset(state for state, targets in self.moves.items() if to in targets)


JOB_LIFECYCLE = Lifecycle(
    moves={
        JobState.RECEIVED: frozenset({JobState.PREPARING, JobState.DELETED}),
        # back to received: a lost lease or a drained worker
        JobState.PREPARING: frozenset(
            {JobState.READY, JobState.REJECTED, JobState.FAILED, JobState.RECEIVED, JobState.DELETED}
        ),
        JobState.READY: frozenset({JobState.DELETED}),
        JobState.REJECTED: frozenset({JobState.DELETED}),
        JobState.FAILED: frozenset({JobState.RECEIVED, JobState.DELETED}),  # received: retry
        JobState.DELETED: frozenset(),
    },
    waiting=JobState.RECEIVED,
    working=JobState.PREPARING,
    succeeded=JobState.READY,
    failed=JobState.FAILED,
    activity="preparing this upload",
)

_OF_RUNS: Mapping[StrEnum, frozenset[StrEnum]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    # back to queued: a lost lease or a drained worker
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLING, RunState.QUEUED}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset({RunState.QUEUED}),  # retry, from its checkpoint if it has one
    RunState.CANCELLED: frozenset(),
}
RUN_LIFECYCLE = Lifecycle(
    moves=_OF_RUNS,
    waiting=RunState.QUEUED,
    working=RunState.RUNNING,
    succeeded=RunState.SUCCEEDED,
    failed=RunState.FAILED,
    activity="training this run",
    cancelling=RunState.CANCELLING,
    cancelled=RunState.CANCELLED,
)
OPERATION_LIFECYCLE = replace(RUN_LIFECYCLE, activity="working on this operation")

JOB_ENDED = JOB_LIFECYCLE.ended
RUN_ENDED = RUN_LIFECYCLE.ended
RUN_ACTIVE = frozenset(RunState) - RUN_ENDED
