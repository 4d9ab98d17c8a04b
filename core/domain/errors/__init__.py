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
    │   │   ImageNotFound  ProjectNotFound  OperationNotFound  ExportNotFound  EvaluationNotFound
    │   │   BatchNotFound  DatasetExportNotFound  TestSetNotFound  CorrectionNotFound
    │   │   SessionNotFound
    │   └── RouteNotFound           no such path
    ├── MethodNotAllowed      405
    ├── RequestTimeout        408   its head or body stopped arriving
    ├── Gone                  410   deleted on request
    ├── Conflict              409
    │   ├── JobNotReady  JobNotRetryable  JobNotRepairable  JobNotExtendable  JobInUse  RunNotCancellable
    │   │   RunNotRetryable  OperationNotCancellable  OperationNotRetryable
    │   ├── ProjectExists           a project has this slug, or had it
    │   ├── ProjectIsImplicit       a project of one upload takes no other dataset
    │   ├── ProjectKindMismatch     a dataset of another kind than the project's
    │   ├── DatasetKindMismatch     boxes compared with labelled images
    │   ├── ProjectInUse            deleting: active work, or aliases
    │   ├── AliasElsewhere          the alias points at a version of another job of the project
    │   ├── TrainerKindMismatch     the trainer does not train this kind of dataset
    │   ├── ModelTrainerMismatch    the version to start from was trained by another trainer
    │   ├── ExportNotPassed         a file whose certificate did not pass, asked for without force=true
    │   ├── BundleWithoutOnnx       a bundle of a version without an ONNX that passed
    │   ├── NothingToApply          corrections to apply, of which none changes an image
    │   ├── BundleFailed            its operation failed, and can be retried
    │   ├── DatasetExportFailed     its operation failed, and can be retried
    │   ├── ModelNotServable        predictions of a version without an export that passed
    │   ├── BatchNotReady           results of a batch of predictions that has not succeeded
    │   ├── EvaluationKindMismatch  a detector on labelled images, or a classifier on boxes
    │   ├── NoEarlierVersion        rollback at the start of an alias's history
    │   ├── SourceNotReusable       preparing again: the ZIP is not stored, or is that of an extension
    │   ├── HubOff                  downloads from a hub are switched off
    │   ├── ImportNotAllowed        an import from a host, bucket or folder that the operator does not allow
    │   ├── UploadOffsetDiffers     a part of a resumable upload that does not begin where the last one ended
    │   ├── ImageIndexMissing       of a set prepared before there were image indexes: it is being made
    │   ├── NoTestSplit             to freeze, or to compare on: a dataset without test images
    │   ├── NoTestSet               a comparison in a project that has none frozen, without a dataset
    │   ├── DatasetElsewhere        to freeze: a dataset of another project
    │   ├── DatasetFrozen           deleting the dataset whose test split is frozen
    │   ├── TrainsOnTestSet         a training on images of the frozen test set, without allow_leak
    │   └── RequestInFlight         the same Idempotency-Key is being answered
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
    │   │   ├── HubSetUnusable      an import: no images with supported labels, or too large
    │   │   └── ImportUnusable      an import: nothing usable at the URL, in the bucket or in the folder
    │   ├── ModelRefused            an uploaded model: of no supported kind, hostile or broken
    │   ├── ExportUnsupported       a format, precision or option that is not for this model
    │   ├── DatasetFormatUnsupported  boxes in folders of classes, classes in COCO
    │   ├── ExportAccuracy          int8: every attempt loses more than max_drop
    │   ├── NoSharedClass           an evaluation: no class of the model is in the dataset
    │   ├── FormatUnavailable       the worker lacks the library or the device of the format
    │   ├── TrainerCannotTrain      the trainer of imported files, which are used as they are
    │   ├── ImageInvalid            an image to predict that is none, or too large
    │   ├── ImageUrlRefused         an image to predict at a URL that is not fetched
    │   ├── NothingToPredict        a batch without an image
    │   ├── CorrectionInvalid       of an image, a class or a box that the dataset does not have
    │   ├── ImageNotRendered        decoding it fails, crashes or takes too long
    │   ├── AliasReserved  SlugInvalid
    │   └── IdempotencyKeyReused    the same key with another body
    ├── UploadLocked          423   another request is sending to this upload
    ├── QueueFull             429   more images wait for predictions than may
    ├── HeadTooLarge          431   too many headers, or too long ones
    ├── ChecksumMismatch      460   the received bytes do not match the announced checksum (tus)
    ├── TrainingFailed        kept on the run, never an answer to a POST
    │   ├── OutOfMemory  Diverged  TimedOut  WeightsUnavailable
    │   ├── ImagesDiffer            the trainer does not read the images of the manifest
    │   ├── NoSpace                 kept on a job as well
    │   └── WorkerLost  TrainerCrashed
    ├── PreparationFailed     kept on the job: the service's fault, can be retried
    │   ├── PrepareOutOfMemory  PrepareTimedOut
    │   ├── HubUnavailable          an import: the hub does not answer, or sends other bytes than it announced
    │   ├── HubTokenRefused         an import: the hub does not accept the token of the settings
    │   └── ImportUnavailable       an import: the server, bucket or folder does not answer, or changes meanwhile
    ├── OperationFailed       kept on the operation: the service's fault, can be retried
    │   └── OperationOutOfMemory  OperationTimedOut
    ├── Unavailable           503   a required service does not answer; retried
    │   ├── ModelLoading            a prediction: its model is not in memory yet
    │   ├── PredictionTimedOut      a prediction: the answer was not ready in time
    │   ├── ServingUnavailable      a prediction: the process that serves does not answer
    │   └── StoreRefused            the object store denies access or lacks the bucket: retried MAX_REFUSALS times
    ├── OutOfSpace            507   the disk or the store is full
    └── Internal              500   an unexpected error; its text stays in the log

An error carries a slug (stable, the page under /problems/), a title (the same for every occurrence),
a detail (this occurrence) and facts (JSON values). The API maps a family to its HTTP status.
Each family of subjects has its file here; this one names them all.
"""

from core.domain.errors.base import Conflict as Conflict
from core.domain.errors.base import DarkroomError as DarkroomError
from core.domain.errors.base import Gone as Gone
from core.domain.errors.base import Internal as Internal
from core.domain.errors.base import LimitExceeded as LimitExceeded
from core.domain.errors.base import NotFound as NotFound
from core.domain.errors.base import RequestInvalid as RequestInvalid
from core.domain.errors.base import Unprocessable as Unprocessable
from core.domain.errors.base import all_errors as all_errors
from core.domain.errors.base import error_from_slug as error_from_slug
from core.domain.errors.corrections import CorrectionInvalid as CorrectionInvalid
from core.domain.errors.corrections import CorrectionNotFound as CorrectionNotFound
from core.domain.errors.corrections import NothingToApply as NothingToApply
from core.domain.errors.datasets import ArchiveRefused as ArchiveRefused
from core.domain.errors.datasets import DatasetElsewhere as DatasetElsewhere
from core.domain.errors.datasets import DatasetExportFailed as DatasetExportFailed
from core.domain.errors.datasets import DatasetExportNotFound as DatasetExportNotFound
from core.domain.errors.datasets import DatasetFormatUnsupported as DatasetFormatUnsupported
from core.domain.errors.datasets import DatasetFrozen as DatasetFrozen
from core.domain.errors.datasets import DatasetKindMismatch as DatasetKindMismatch
from core.domain.errors.datasets import DatasetRejected as DatasetRejected
from core.domain.errors.datasets import FormatUnknown as FormatUnknown
from core.domain.errors.datasets import HubOff as HubOff
from core.domain.errors.datasets import HubSetNotFound as HubSetNotFound
from core.domain.errors.datasets import HubSetUnusable as HubSetUnusable
from core.domain.errors.datasets import ImageIndexMissing as ImageIndexMissing
from core.domain.errors.datasets import ImageNotFound as ImageNotFound
from core.domain.errors.datasets import ImageNotRendered as ImageNotRendered
from core.domain.errors.datasets import ImportNotAllowed as ImportNotAllowed
from core.domain.errors.datasets import ImportUnusable as ImportUnusable
from core.domain.errors.datasets import NoTestSet as NoTestSet
from core.domain.errors.datasets import NoTestSplit as NoTestSplit
from core.domain.errors.datasets import SourceNotReusable as SourceNotReusable
from core.domain.errors.datasets import TestSetNotFound as TestSetNotFound
from core.domain.errors.datasets import TrainsOnTestSet as TrainsOnTestSet
from core.domain.errors.exports import BundleFailed as BundleFailed
from core.domain.errors.exports import BundleWithoutOnnx as BundleWithoutOnnx
from core.domain.errors.exports import EvaluationKindMismatch as EvaluationKindMismatch
from core.domain.errors.exports import EvaluationNotFound as EvaluationNotFound
from core.domain.errors.exports import ExportAccuracy as ExportAccuracy
from core.domain.errors.exports import ExportNotFound as ExportNotFound
from core.domain.errors.exports import ExportNotPassed as ExportNotPassed
from core.domain.errors.exports import ExportUnsupported as ExportUnsupported
from core.domain.errors.exports import FormatUnavailable as FormatUnavailable
from core.domain.errors.exports import NoSharedClass as NoSharedClass
from core.domain.errors.jobs import HubTokenRefused as HubTokenRefused
from core.domain.errors.jobs import HubUnavailable as HubUnavailable
from core.domain.errors.jobs import ImportUnavailable as ImportUnavailable
from core.domain.errors.jobs import JobInUse as JobInUse
from core.domain.errors.jobs import JobNotExtendable as JobNotExtendable
from core.domain.errors.jobs import JobNotFound as JobNotFound
from core.domain.errors.jobs import JobNotReady as JobNotReady
from core.domain.errors.jobs import JobNotRepairable as JobNotRepairable
from core.domain.errors.jobs import JobNotRetryable as JobNotRetryable
from core.domain.errors.jobs import PreparationFailed as PreparationFailed
from core.domain.errors.jobs import PrepareOutOfMemory as PrepareOutOfMemory
from core.domain.errors.jobs import PrepareTimedOut as PrepareTimedOut
from core.domain.errors.models import AliasElsewhere as AliasElsewhere
from core.domain.errors.models import AliasNotFound as AliasNotFound
from core.domain.errors.models import AliasReserved as AliasReserved
from core.domain.errors.models import ArtifactNotFound as ArtifactNotFound
from core.domain.errors.models import ModelRefused as ModelRefused
from core.domain.errors.models import NoEarlierVersion as NoEarlierVersion
from core.domain.errors.models import VersionNotFound as VersionNotFound
from core.domain.errors.operations import OperationFailed as OperationFailed
from core.domain.errors.operations import OperationNotCancellable as OperationNotCancellable
from core.domain.errors.operations import OperationNotFound as OperationNotFound
from core.domain.errors.operations import OperationNotRetryable as OperationNotRetryable
from core.domain.errors.operations import OperationOutOfMemory as OperationOutOfMemory
from core.domain.errors.operations import OperationTimedOut as OperationTimedOut
from core.domain.errors.projects import JOINING as JOINING
from core.domain.errors.projects import ProjectExists as ProjectExists
from core.domain.errors.projects import ProjectInUse as ProjectInUse
from core.domain.errors.projects import ProjectIsImplicit as ProjectIsImplicit
from core.domain.errors.projects import ProjectKindMismatch as ProjectKindMismatch
from core.domain.errors.projects import ProjectNotFound as ProjectNotFound
from core.domain.errors.projects import ProjectRenamed as ProjectRenamed
from core.domain.errors.projects import SlugInvalid as SlugInvalid
from core.domain.errors.requests import CursorInvalid as CursorInvalid
from core.domain.errors.requests import HeadTooLarge as HeadTooLarge
from core.domain.errors.requests import IdempotencyKeyReused as IdempotencyKeyReused
from core.domain.errors.requests import MethodNotAllowed as MethodNotAllowed
from core.domain.errors.requests import RangeInvalid as RangeInvalid
from core.domain.errors.requests import RequestInFlight as RequestInFlight
from core.domain.errors.requests import RequestTimeout as RequestTimeout
from core.domain.errors.requests import RouteNotFound as RouteNotFound
from core.domain.errors.requests import SessionNotFound as SessionNotFound
from core.domain.errors.requests import Unauthorized as Unauthorized
from core.domain.errors.requests import UrlTooLong as UrlTooLong
from core.domain.errors.service import OutOfSpace as OutOfSpace
from core.domain.errors.service import StoreRefused as StoreRefused
from core.domain.errors.service import Unavailable as Unavailable
from core.domain.errors.serving import BatchNotFound as BatchNotFound
from core.domain.errors.serving import BatchNotReady as BatchNotReady
from core.domain.errors.serving import ImageInvalid as ImageInvalid
from core.domain.errors.serving import ImageUrlRefused as ImageUrlRefused
from core.domain.errors.serving import ModelLoading as ModelLoading
from core.domain.errors.serving import ModelNotServable as ModelNotServable
from core.domain.errors.serving import NothingToPredict as NothingToPredict
from core.domain.errors.serving import PredictionTimedOut as PredictionTimedOut
from core.domain.errors.serving import QueueFull as QueueFull
from core.domain.errors.serving import ServingUnavailable as ServingUnavailable
from core.domain.errors.training import Diverged as Diverged
from core.domain.errors.training import ImagesDiffer as ImagesDiffer
from core.domain.errors.training import ModelTrainerMismatch as ModelTrainerMismatch
from core.domain.errors.training import NoSpace as NoSpace
from core.domain.errors.training import OutOfMemory as OutOfMemory
from core.domain.errors.training import ParamsInvalid as ParamsInvalid
from core.domain.errors.training import RunNotCancellable as RunNotCancellable
from core.domain.errors.training import RunNotFound as RunNotFound
from core.domain.errors.training import RunNotRetryable as RunNotRetryable
from core.domain.errors.training import TimedOut as TimedOut
from core.domain.errors.training import TrainerCannotTrain as TrainerCannotTrain
from core.domain.errors.training import TrainerCrashed as TrainerCrashed
from core.domain.errors.training import TrainerKindMismatch as TrainerKindMismatch
from core.domain.errors.training import TrainingFailed as TrainingFailed
from core.domain.errors.training import WeightsUnavailable as WeightsUnavailable
from core.domain.errors.training import WorkerLost as WorkerLost
from core.domain.errors.uploads import ChecksumMismatch as ChecksumMismatch
from core.domain.errors.uploads import MediaTypeUnsupported as MediaTypeUnsupported
from core.domain.errors.uploads import PreflightIncomplete as PreflightIncomplete
from core.domain.errors.uploads import TusVersionUnsupported as TusVersionUnsupported
from core.domain.errors.uploads import UploadInvalid as UploadInvalid
from core.domain.errors.uploads import UploadLocked as UploadLocked
from core.domain.errors.uploads import UploadNotFound as UploadNotFound
from core.domain.errors.uploads import UploadOffsetDiffers as UploadOffsetDiffers
from core.domain.errors.uploads import UploadTooLarge as UploadTooLarge
