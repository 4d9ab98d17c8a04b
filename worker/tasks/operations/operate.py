"""An operate task: claim -> the work of its kind -> complete."""

from core.db.tables import OperationRow
from core.services.operations.lifecycle import complete_operation
from worker.context import Worker
from worker.tasks.attempt import Attempt, run_attempt
from worker.tasks.operations.catalogue import work_of
from worker.tasks.operations.child import ChildKilled


def operate(worker: Worker, operation_id: str) -> None:
    """Work on an operation, if it still waits; the row records how that ended. Raises Unavailable (the database)."""
    run_attempt(worker, OperationRow, operation_id, _operate)


def _operate(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    try:
        result = work_of(operation.kind)(attempt, operation)
    except ChildKilled as killed:
        return attempt.lose(killed.error)
    if result is not None:
        attempt.lease.raise_if_stopped()
        attempt.lease.retry_until_lost(lambda: complete_operation(attempt.db, attempt.claim, result))
    attempt.log.info("operation.succeeded", kind=operation.kind)
