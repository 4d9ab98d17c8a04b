"""Training: its params, its runs, and why one fails."""

from core.domain.errors.base import Conflict, DarkroomError, NotFound, RequestInvalid, Unprocessable


class ParamsInvalid(RequestInvalid):
    slug = "params-invalid"
    title = "A training parameter is not valid"


class RunNotFound(NotFound):
    slug = "run-not-found"
    title = "There is no run with this id"


class RunNotCancellable(Conflict):
    slug = "run-not-cancellable"
    title = "The run has already ended"


class RunNotRetryable(Conflict):
    slug = "run-not-retryable"
    title = "Only a failed run can be retried"


class TrainerKindMismatch(Conflict):
    slug = "trainer-kind-mismatch"
    title = "The trainer does not train this kind of dataset"


class ModelTrainerMismatch(Conflict):
    slug = "model-trainer-mismatch"
    title = "The model was trained by another trainer"


class TrainerCannotTrain(Unprocessable):
    slug = "trainer-cannot-train"
    title = "The trainer does not train"


class TrainingFailed(DarkroomError):
    slug = "training-failed"
    title = "The training failed"


class OutOfMemory(TrainingFailed):
    slug = "out-of-memory"
    title = "The training ran out of memory"


class Diverged(TrainingFailed):
    slug = "diverged"
    title = "The loss became infinite or not a number"


class TimedOut(TrainingFailed):
    slug = "timed-out"
    title = "The time ran out before a first model existed"


class NoSpace(TrainingFailed):
    slug = "no-space"
    title = "The worker's disk is full"


class WeightsUnavailable(TrainingFailed):
    slug = "weights-unavailable"
    title = "The pretrained weights are not available"


class ImagesDiffer(TrainingFailed):
    slug = "images-differ"
    title = "The trainer does not read the images of the dataset"


class WorkerLost(TrainingFailed):
    slug = "worker-lost"
    title = "The worker was lost too many times"


class TrainerCrashed(TrainingFailed):
    slug = "trainer-crashed"
    title = "The trainer crashed"
