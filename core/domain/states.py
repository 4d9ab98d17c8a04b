"""The states of a job and a run, and every move that exists, as data.

job:  received -> preparing -> ready | rejected (the user's data) | failed (ours, retryable) -> deleted
run:  queued -> running -> succeeded | failed;  running -> cancelling -> cancelled
"""

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


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.RECEIVED: frozenset({JobState.PREPARING, JobState.DELETED}),
    # back to received: a lost lease or a drained worker
    JobState.PREPARING: frozenset(
        {JobState.READY, JobState.REJECTED, JobState.FAILED, JobState.RECEIVED, JobState.DELETED}
    ),
    JobState.READY: frozenset({JobState.DELETED}),
    JobState.REJECTED: frozenset({JobState.DELETED}),
    JobState.FAILED: frozenset({JobState.RECEIVED, JobState.DELETED}),  # received: retry
    JobState.DELETED: frozenset(),
}

RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    # back to queued: a lost lease or a drained worker
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLING, RunState.QUEUED}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset({RunState.QUEUED}),  # retry, from its checkpoint
    RunState.CANCELLED: frozenset(),
}

JOB_ENDED = frozenset({JobState.READY, JobState.REJECTED, JobState.FAILED, JobState.DELETED})
RUN_ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
RUN_ACTIVE = frozenset(set(RunState) - RUN_ENDED)


def job_sources(to: JobState) -> frozenset[JobState]:
    """The states from which a job may move to `to`."""
    return frozenset(state for state, targets in JOB_MOVES.items() if to in targets)


def run_sources(to: RunState) -> frozenset[RunState]:
    """The states from which a run may move to `to`."""
    return frozenset(state for state, targets in RUN_MOVES.items() if to in targets)
