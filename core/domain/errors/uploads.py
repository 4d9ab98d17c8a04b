"""Uploads: one request, or the tus protocol."""

from core.domain.errors.base import Conflict, DarkroomError, LimitExceeded, NotFound, RequestInvalid


class UploadInvalid(RequestInvalid):
    slug = "upload-invalid"
    title = "The upload contains no readable file"


class PreflightIncomplete(RequestInvalid):
    slug = "preflight-incomplete"
    title = "More of the end of the ZIP is needed"


class UploadNotFound(NotFound):
    slug = "upload-not-found"
    title = "There is no upload with this id"


class UploadOffsetDiffers(Conflict):
    slug = "upload-offset-differs"
    title = "The upload continues at another offset"


class TusVersionUnsupported(DarkroomError):
    slug = "tus-version-unsupported"
    title = "Resumable uploads use tus 1.0.0"


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
