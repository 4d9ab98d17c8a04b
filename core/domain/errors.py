"""Every known failure, as one tree.

    DarkroomError
    ├── RequestInvalid        400   the request itself is wrong
    │   ├── ParamsInvalid           training params: each bad field is named
    │   ├── CursorInvalid           a cursor that no list returned
    │   ├── UploadInvalid           no file, a broken multipart body, an empty upload
    │   └── PreflightIncomplete     the end of the ZIP that was sent lacks part of its directory
    ├── ProjectRenamed        308   the slug of before a renaming; the answer leads to the new one
    ├── Unauthorized          401   a token is required, and the request has none or another
    ├── NotFound              404
    │   ├── JobNotFound  RunNotFound  VersionNotFound  ArtifactNotFound  AliasNotFound  UploadNotFound
    │   │   ImageNotFound  ProjectNotFound  OperationNotFound
    │   └── RouteNotFound           no such path
    ├── MethodNotAllowed      405
    ├── RequestTimeout        408   its head or body stopped arriving
    ├── Gone                  410   deleted on request
    ├── Conflict              409
    │   ├── JobNotReady  JobNotRetryable  JobNotRepairable  JobInUse  RunNotCancellable  RunNotRetryable
    │   │   OperationNotCancellable  OperationNotRetryable
    │   ├── ProjectExists           a project has this slug, or had it
    │   ├── ProjectIsImplicit       a project of one upload takes no other dataset
    │   ├── ProjectKindMismatch     a dataset of another kind than the project's
    │   ├── ProjectInUse            deleting: active work, or aliases
    │   ├── AliasElsewhere          the alias points at a version of another job of the project
    │   ├── TrainerKindMismatch     the trainer does not train this kind of dataset
    │   ├── ModelTrainerMismatch    the version to start from was trained by another trainer
    │   ├── NoEarlierVersion        rollback at the start of an alias's history
    │   ├── HubOff                  downloads from a hub are switched off
    │   ├── UploadOffsetDiffers     a part of a resumable upload that does not begin where the last one ended
    │   └── RequestInFlight         the same Idempotency-Key is being answered
    │   ├── ImageIndexMissing       of a set prepared before there were image indexes: it is being made
    ├── TusVersionUnsupported 412   another version of the tus protocol, or none
    ├── LimitExceeded         413
    │   └── UploadTooLarge
    ├── UrlTooLong            414
    ├── MediaTypeUnsupported  415   a part of an upload in another content type than the protocol's
    ├── RangeInvalid          416
    ├── Unprocessable         422   understood, and refused
    │   ├── DatasetRejected         the user's data; carries findings
    │   │   ├── ArchiveRefused      hostile or broken archive
    │   │   ├── FormatUnknown       no supported format; lists what was tried
    │   │   ├── HubSetNotFound      an import: no such dataset or revision on the hub, or access is denied
    │   │   └── HubSetUnusable      an import: no images with supported labels, or too large
    │   ├── ModelRefused            an uploaded model: of no supported kind, hostile or broken
    │   ├── ImageNotRendered        decoding it fails, crashes or takes too long
    │   ├── AliasReserved  SlugInvalid
    │   └── IdempotencyKeyReused    the same key with another body
    ├── UploadLocked          423   another request is sending to this upload
    ├── HeadTooLarge          431   too many headers, or too long ones
    ├── ChecksumMismatch      460   the received bytes do not match the announced checksum (tus)
    ├── TrainingFailed        kept on the run, never an answer to a POST
    │   ├── OutOfMemory  Diverged  TimedOut  WeightsUnavailable
    │   ├── ImagesDiffer            the trainer does not read the images of the manifest
    │   ├── NoSpace                 kept on a job as well
    │   └── WorkerLost  TrainerCrashed
    ├── PreparationFailed     kept on the job: the service's fault, can be retried
    │   ├── PrepareOutOfMemory  PrepareTimedOut
    │   └── HubUnavailable          an import: the hub does not answer, or sends other bytes than it announced
    ├── OperationFailed       kept on the operation: the service's fault, can be retried
    │   └── OperationOutOfMemory  OperationTimedOut
    ├── Unavailable           503   a required service does not answer; retried
    │   └── StoreRefused            the object store denies access or lacks the bucket: retried MAX_REFUSALS times
    ├── OutOfSpace            507   the disk or the store is full
    └── Internal              500   an unexpected error; its text stays in the log

An error carries a slug (stable, the page under /problems/), a title (the same for every occurrence),
a detail (this occurrence) and facts (JSON values). The API maps a family to its HTTP status.
"""

from collections.abc import Iterator
from typing import Any, ClassVar


class DarkroomError(Exception):
    """Base of every known failure. `detail` is a sentence for people, `facts` are JSON values for programs."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "An unexpected error occurred"

    def __init__(self, detail: str = "", **facts: Any) -> None:
        self.detail = detail or self.title
        self.facts = facts
        super().__init__(self.detail)

    def as_problem(self) -> dict[str, Any]:
        """The RFC 9457 members that a job, a run and an HTTP answer share."""
        return {
            "type": f"/problems/{self.slug}",
            "slug": self.slug,
            "title": self.title,
            "detail": self.detail,
            **self.facts,
        }


class RequestInvalid(DarkroomError):
    slug = "request-invalid"
    title = "The request is not valid"


class ParamsInvalid(RequestInvalid):
    slug = "params-invalid"
    title = "A training parameter is not valid"


class CursorInvalid(RequestInvalid):
    slug = "cursor-invalid"
    title = "The cursor does not belong to this list"


class UploadInvalid(RequestInvalid):
    slug = "upload-invalid"
    title = "The upload contains no readable file"


class PreflightIncomplete(RequestInvalid):
    slug = "preflight-incomplete"
    title = "More of the end of the ZIP is needed"


class Unauthorized(DarkroomError):
    slug = "unauthorized"
    title = "A valid API token is needed"


class NotFound(DarkroomError):
    slug = "not-found"
    title = "Not found"


class RouteNotFound(NotFound):
    slug = "route-not-found"
    title = "There is no such path"


class JobNotFound(NotFound):
    slug = "job-not-found"
    title = "There is no job with this id"


class RunNotFound(NotFound):
    slug = "run-not-found"
    title = "There is no run with this id"


class VersionNotFound(NotFound):
    slug = "version-not-found"
    title = "There is no such model version"


class ArtifactNotFound(NotFound):
    slug = "artifact-not-found"
    title = "The model version has no such artifact"


class ImageNotFound(NotFound):
    slug = "image-not-found"
    title = "The dataset has no such image"


class AliasNotFound(NotFound):
    slug = "alias-not-found"
    title = "There is no such alias"


class UploadNotFound(NotFound):
    slug = "upload-not-found"
    title = "There is no upload with this id"


class ProjectNotFound(NotFound):
    slug = "project-not-found"
    title = "There is no project with this name"


class OperationNotFound(NotFound):
    slug = "operation-not-found"
    title = "There is no operation with this id"


class ProjectRenamed(DarkroomError):
    slug = "project-renamed"
    title = "The project has another name now"


class MethodNotAllowed(DarkroomError):
    slug = "method-not-allowed"
    title = "This path does not take this method"


class RequestTimeout(DarkroomError):
    slug = "request-timeout"
    title = "The request stopped arriving"


class UrlTooLong(DarkroomError):
    slug = "url-too-long"
    title = "The URL is too long"


class HeadTooLarge(DarkroomError):
    slug = "head-too-large"
    title = "The headers of the request are too large"


class Gone(DarkroomError):
    slug = "gone"
    title = "This was deleted"


class Conflict(DarkroomError):
    slug = "conflict"
    title = "The current state does not allow this"


class JobNotReady(Conflict):
    slug = "job-not-ready"
    title = "The job is not ready"


class ImageIndexMissing(Conflict):
    slug = "image-index-missing"
    title = "The images of the dataset are not indexed yet"


class JobNotRetryable(Conflict):
    slug = "job-not-retryable"
    title = "Only a failed job can be retried"


class JobNotRepairable(Conflict):
    slug = "job-not-repairable"
    title = "This job's upload cannot be repaired"


class JobInUse(Conflict):
    slug = "job-in-use"
    title = "The job still has active runs or an aliased version"


class RunNotCancellable(Conflict):
    slug = "run-not-cancellable"
    title = "The run has already ended"


class RunNotRetryable(Conflict):
    slug = "run-not-retryable"
    title = "Only a failed run can be retried"


class OperationNotCancellable(Conflict):
    slug = "operation-not-cancellable"
    title = "The operation has already ended"


class OperationNotRetryable(Conflict):
    slug = "operation-not-retryable"
    title = "Only a failed operation can be retried"


class ProjectExists(Conflict):
    slug = "project-exists"
    title = "The name of the project is taken"


class ProjectIsImplicit(Conflict):
    slug = "project-is-implicit"
    title = "The project belongs to a single upload"


class ProjectKindMismatch(Conflict):
    slug = "project-kind-mismatch"
    title = "The project holds datasets of another kind"


class ProjectInUse(Conflict):
    slug = "project-in-use"
    title = "The project still has active work or aliases"


class AliasElsewhere(Conflict):
    slug = "alias-elsewhere"
    title = "The alias points at a version of another job"


class TrainerKindMismatch(Conflict):
    slug = "trainer-kind-mismatch"
    title = "The trainer does not train this kind of dataset"


class ModelTrainerMismatch(Conflict):
    slug = "model-trainer-mismatch"
    title = "The model was trained by another trainer"


class NoEarlierVersion(Conflict):
    slug = "no-earlier-version"
    title = "The alias has no earlier version to return to"


class HubOff(Conflict):
    slug = "hub-off"
    title = "Downloads from a hub are switched off"


class UploadOffsetDiffers(Conflict):
    slug = "upload-offset-differs"
    title = "The upload continues at another offset"


class RequestInFlight(Conflict):
    slug = "request-in-flight"
    title = "A request with this Idempotency-Key is being answered"


class TusVersionUnsupported(DarkroomError):
    slug = "tus-version-unsupported"
    title = "Resumable uploads use tus 1.0.0"


class LimitExceeded(DarkroomError):
    slug = "limit-exceeded"
    title = "A limit is exceeded"


class UploadTooLarge(LimitExceeded):
    slug = "upload-too-large"
    title = "The upload is larger than this service accepts"


class MediaTypeUnsupported(DarkroomError):
    slug = "media-type-unsupported"
    title = "The content type of the body is not supported"


class UploadLocked(DarkroomError):
    slug = "upload-locked"
    title = "Another request is sending to this upload"


class ChecksumMismatch(DarkroomError):
    slug = "checksum-mismatch"
    title = "The checksum does not match the received bytes"


class RangeInvalid(DarkroomError):
    slug = "range-invalid"
    title = "The requested range lies outside the file"


class Unprocessable(DarkroomError):
    slug = "unprocessable"
    title = "The request was understood and is refused"


class DatasetRejected(Unprocessable):
    slug = "dataset-rejected"
    title = "The dataset has errors"


class ArchiveRefused(DatasetRejected):
    slug = "archive-refused"
    title = "The archive is broken or unsafe"


class FormatUnknown(DatasetRejected):
    slug = "format-unknown"
    title = "The archive contains no supported dataset format"


class HubSetNotFound(DatasetRejected):
    slug = "hub-set-not-found"
    title = "The hub has no such dataset, or denies access to it"


class HubSetUnusable(DatasetRejected):
    slug = "hub-set-unusable"
    title = "The hub's dataset cannot be imported"


class ModelRefused(Unprocessable):
    slug = "model-refused"
    title = "The model cannot be imported"


class ImageNotRendered(Unprocessable):
    slug = "image-not-rendered"
    title = "The image cannot be rendered"


class AliasReserved(Unprocessable):
    slug = "alias-reserved"
    title = "This alias name is reserved or malformed"


class SlugInvalid(Unprocessable):
    slug = "slug-invalid"
    title = "This is no name for a project"


class IdempotencyKeyReused(Unprocessable):
    slug = "idempotency-key-reused"
    title = "This Idempotency-Key was used with another request"


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


class PreparationFailed(DarkroomError):
    slug = "preparation-failed"
    title = "The preparation failed on the side of the service"


class PrepareOutOfMemory(PreparationFailed):
    slug = "prepare-out-of-memory"
    title = "The preparation ran out of memory"


class PrepareTimedOut(PreparationFailed):
    slug = "prepare-timed-out"
    title = "The preparation took too long"


class HubUnavailable(PreparationFailed):
    slug = "hub-unavailable"
    title = "The hub does not answer"


class OperationFailed(DarkroomError):
    slug = "operation-failed"
    title = "The operation failed on the side of the service"


class OperationOutOfMemory(OperationFailed):
    slug = "operation-out-of-memory"
    title = "The operation ran out of memory"


class OperationTimedOut(OperationFailed):
    slug = "operation-timed-out"
    title = "The operation took too long"


class Unavailable(DarkroomError):
    slug = "unavailable"
    title = "A required service does not answer"


class StoreRefused(Unavailable):
    slug = "store-refused"
    title = "The object store refuses this service"


class OutOfSpace(DarkroomError):
    slug = "out-of-space"
    title = "There is not enough free space"


class Internal(DarkroomError):
    slug = "internal"
    title = "An unexpected error occurred"


# What a dataset that names a project can be refused for.
JOINING: tuple[type[DarkroomError], ...] = (SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone)


def all_errors() -> list[type[DarkroomError]]:
    """Every error class, parents before children."""

    def walk(cls: type[DarkroomError]) -> Iterator[type[DarkroomError]]:
        yield cls
        for child in cls.__subclasses__():
            yield from walk(child)

    return [cls for cls in walk(DarkroomError) if cls is not DarkroomError]


def error_from_slug(slug: str, detail: str, **facts: Any) -> DarkroomError:
    """Rebuild an error that crossed a process boundary; an unknown slug becomes `Internal`."""
    known = {cls.slug: cls for cls in all_errors()}
    return known.get(slug, Internal)(detail, **facts)
