"""A command of the pipeline in a supervised process, on behalf of an operation."""

from core.db.tables import OperationRow
from core.domain.errors import (
    DarkroomError,
    OperationFailed,
    OperationOutOfMemory,
    OperationTimedOut,
    OutOfMemory,
    TrainerCrashed,
)
from pipeline.process.child import EXIT_OK
from pipeline.process.results import Result, read_result_of
from pipeline.process.specs import ChildSpec
from worker.supervision.exit_causes import cause_of, killed_from_outside
from worker.supervision.supervisor import supervise
from worker.tasks.attempt import Attempt
from worker.tasks.stage_reporter import StageReporter


class ChildKilled(Exception):
    """A signal from outside ended the process: worth another attempt. `error` ends the operation after too many."""

    def __init__(self, error: OperationFailed) -> None:
        super().__init__(error.detail)
        self.error = error


def in_child(attempt: Attempt[OperationRow], spec: ChildSpec, result: type[Result]) -> Result:
    """Run a command to its end and read its result. Its stages and its progress are the operation's.

    Raises ChildKilled, OperationFailed, what the command reported, and what ends a lease.
    """
    spec.out.mkdir()
    log_path = spec.out.with_suffix(".log")
    limit_seconds = attempt.platform.settings.operation_seconds
    ended = supervise(
        attempt.lease,
        attempt.worker.launcher,
        spec,
        log_path=log_path,
        report=StageReporter(attempt).report,
        limit_seconds=limit_seconds,
    )
    if ended.out_of_time:
        detail = f"It was ended after {limit_seconds:g} seconds; DARKROOM_OPERATION_SECONDS allows more."
        raise OperationTimedOut(detail, limit_seconds=limit_seconds, setting="DARKROOM_OPERATION_SECONDS")
    if killed_from_outside(ended):
        raise ChildKilled(OperationFailed(f"Its process was killed by signal {-ended.status} again and again."))
    found = read_result_of(spec.out, result)
    if ended.status != EXIT_OK or found is None:
        raise _as_failure_of_operation(cause_of(ended, spec.out, log_path), spec)
    return found


def _as_failure_of_operation(cause: DarkroomError, spec: ChildSpec) -> DarkroomError:
    if isinstance(cause, OutOfMemory):
        return _out_of_memory(cause, spec.memory_bytes)
    if isinstance(cause, TrainerCrashed):  # the name of any crash of a child
        return OperationFailed(cause.detail, **cause.facts)
    return cause


def _out_of_memory(cause: OutOfMemory, limit_bytes: int | None) -> OperationOutOfMemory:
    if limit_bytes is None:
        return OperationOutOfMemory(cause.detail, **cause.facts)
    limit = f"It may allocate {limit_bytes} bytes; DARKROOM_OPERATION_MEMORY_BYTES allows more."
    facts = {"limit_bytes": limit_bytes, "setting": "DARKROOM_OPERATION_MEMORY_BYTES"}
    return OperationOutOfMemory(f"{cause.detail} {limit}", **facts, **cause.facts)
