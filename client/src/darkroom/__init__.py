"""The client of Darkroom: `from darkroom import Client`, or AsyncClient with asyncio."""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from darkroom._async.client import AsyncClient
    from darkroom._sync.client import Client

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


def __getattr__(name: str) -> Any:
    """The clients at their first use: they import httpx, which takes longer than the help of a command may."""
    if name == "Client":
        from darkroom._sync.client import Client

        return Client
    if name == "AsyncClient":
        from darkroom._async.client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
