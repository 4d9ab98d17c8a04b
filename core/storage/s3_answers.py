"""The error codes of S3 servers as errors of the domain. AWS, SeaweedFS, MinIO and Swift spell them differently."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from core.domain.errors import OutOfSpace, RangeInvalid, StoreRefused, Unavailable
from core.storage import ObjectCorrupt, ObjectMissing

MISSING = {"404", "NoSuchKey", "NotFound"}
EXISTS = {"412", "PreconditionFailed"}
_CONFLICT = {"409", "ConditionalRequestConflict"}
_BEYOND = {"416", "InvalidRange"}
_CORRUPT = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
_REFUSED = {
    "403", "Forbidden", "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "InvalidSecurity",
    "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken",
    "NotSignedUp", "UnauthorizedAccess", "NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "301",
}  # fmt: skip
_FULL = {"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "NoSpace"}


class KeyTaken(Exception):
    """412: the key exists."""


class KeyContended(Exception):
    """409: another conditional put of the key is under way."""


@contextmanager
def answering(key: str) -> Iterator[None]:
    """Raise errors of the domain in place of boto3's."""
    try:
        yield
    except ClientError as error:
        raise _named(error, key) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        cause = type(error).__name__
        raise StoreRefused(refusal(cause), service="store", cause=cause) from error
    except (BotoCoreError, Boto3Error) as error:
        # A failed upload of parts is wrapped, with its cause as context.
        if isinstance(error.__context__, ClientError):
            raise _named(error.__context__, key) from error
        raise Unavailable("The object store does not answer.", service="store", cause=type(error).__name__) from error


def refusal(cause: str) -> str:
    return f"The object store refuses this service: {cause}."


def _named(error: ClientError, key: str) -> Exception:
    code = error.response["Error"].get("Code", "")
    if code in MISSING:
        return ObjectMissing(key)
    if code in _BEYOND:
        return RangeInvalid("The range begins beyond the end of the file.")
    if code in EXISTS:
        return KeyTaken(key)
    if code in _CONFLICT:
        return KeyContended(key)
    if code in _CORRUPT:
        return ObjectCorrupt(f"{key}: the store received bytes with another sha256")
    if code in _FULL:
        return OutOfSpace("The object store is full.")
    if code in _REFUSED:
        return StoreRefused(refusal(code), service="store", cause=code)
    return Unavailable(f"The object store failed: {code}.", service="store", cause=code)
