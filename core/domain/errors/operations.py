"""Operations, and why one fails."""

from core.domain.errors.base import Conflict, DarkroomError, NotFound


class OperationNotFound(NotFound):
    slug = "operation-not-found"
    title = "There is no operation with this id"


class OperationNotCancellable(Conflict):
    slug = "operation-not-cancellable"
    title = "The operation has already ended"


class OperationNotRetryable(Conflict):
    slug = "operation-not-retryable"
    title = "Only a failed operation can be retried"


class OperationFailed(DarkroomError):
    slug = "operation-failed"
    title = "The operation failed on the side of the service"


class OperationOutOfMemory(OperationFailed):
    slug = "operation-out-of-memory"
    title = "The operation ran out of memory"


class OperationTimedOut(OperationFailed):
    slug = "operation-timed-out"
    title = "The operation took too long"
