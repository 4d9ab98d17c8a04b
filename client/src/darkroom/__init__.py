"""The client of Darkroom: `from darkroom import Client`, or AsyncClient with asyncio."""

from darkroom._async.client import AsyncClient
from darkroom._sync.client import Client
from darkroom.errors import (
    ArchiveRefused,
    ChecksumMismatch,
    Conflict,
    DarkroomError,
    Deleted,
    FieldError,
    LocalFileError,
    NotAuthenticated,
    NotFound,
    Problem,
    RequestInvalid,
    ServiceUnavailable,
    ServiceUnreachable,
    TooManyRequests,
    UnexpectedAnswer,
    WaitTimeout,
    WorkFailed,
)
from darkroom.uploads import UploadProgress
from darkroom.version import VERSION as __version__

__all__ = [
    "ArchiveRefused",
    "AsyncClient",
    "ChecksumMismatch",
    "Client",
    "Conflict",
    "DarkroomError",
    "Deleted",
    "FieldError",
    "LocalFileError",
    "NotAuthenticated",
    "NotFound",
    "Problem",
    "RequestInvalid",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "TooManyRequests",
    "UnexpectedAnswer",
    "UploadProgress",
    "WaitTimeout",
    "WorkFailed",
    "__version__",
]
