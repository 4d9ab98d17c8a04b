"""Jobs, and what fails while one is prepared."""

from core.domain.errors.base import Conflict, DarkroomError, NotFound


class JobNotFound(NotFound):
    slug = "job-not-found"
    title = "There is no job with this id"


class JobNotReady(Conflict):
    slug = "job-not-ready"
    title = "The job is not ready"


class JobNotRetryable(Conflict):
    slug = "job-not-retryable"
    title = "Only a failed job can be retried"


class JobNotRepairable(Conflict):
    slug = "job-not-repairable"
    title = "This job's upload cannot be repaired"


class JobNotExtendable(Conflict):
    slug = "job-not-extendable"
    title = "This dataset cannot be extended"


class JobInUse(Conflict):
    slug = "job-in-use"
    title = "The job still has active runs or an aliased version"


class PreparationFailed(DarkroomError):
    slug = "preparation-failed"
    title = "The preparation failed on the side of the service"


class PrepareOutOfMemory(PreparationFailed):
    slug = "prepare-out-of-memory"
    title = "The preparation ran out of memory"


class PrepareTimedOut(PreparationFailed):
    slug = "prepare-timed-out"
    title = "The preparation took too long"


class HubTokenRefused(PreparationFailed):
    slug = "hub-token-refused"
    title = "The hub does not accept the service's token"


class ImportUnavailable(PreparationFailed):
    slug = "import-unavailable"
    title = "The source of the import does not answer"


class HubUnavailable(PreparationFailed):
    slug = "hub-unavailable"
    title = "The hub does not answer"
