"""What the OpenAPI document says of the resumable uploads: headers, bodies and problems."""

from api.uploads import tus_headers as tus
from core.domain import errors
from http_common.openapi import problem_responses


def header(name: str, description: str, *, required: bool = True, **schema: object) -> dict[str, object]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": description}


NO_UPLOAD = (errors.UploadNotFound, errors.Gone, errors.TusVersionUnsupported)
CHUNK_BYTES = {tus.CHUNK_TYPE: {"schema": {"type": "string", "format": "binary"}}}
CHUNK_BODY = {"required": True, "content": CHUNK_BYTES}
ZIP_END_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
VERSION_HEADER = header("Tus-Resumable", "The version of the protocol.", enum=[tus.VERSION])
CHECKSUM_HEADER = header(
    "Upload-Checksum",
    "`sha256 <base64>` or `sha1 <base64>` of this chunk.",
    required=False,
    pattern="^(sha1 [A-Za-z0-9+/]{27}=|sha256 [A-Za-z0-9+/]{43}=)$",
)
OFFSET_HEADER = header(
    "Upload-Offset", "Where the chunk begins: the `Upload-Offset` of the last answer.", pattern="^[0-9]{1,15}$"
)
CHUNK_PROBLEMS = problem_responses(
    *NO_UPLOAD,
    errors.UploadInvalid,
    errors.UploadOffsetDiffers,
    errors.MediaTypeUnsupported,
    errors.UploadLocked,
    errors.ChecksumMismatch,
    errors.OutOfSpace,
)
