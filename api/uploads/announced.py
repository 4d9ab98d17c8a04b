"""What the headers of a new resumable upload announce."""

import re
from pathlib import PurePosixPath

from starlette.requests import Request

from api.uploads import tus_headers as tus
from api.uploads.body import NAME_MAX, OPTION_NAMES, extendable_job, options_of, refuse_nul, safe_name
from core.domain.errors import UploadInvalid
from core.services.context import Platform
from core.services.uploads.sessions import NewUpload
from http_common.problems import invalid_fields


def announced_upload(request: Request, platform: Platform) -> NewUpload:
    """Raises RequestInvalid for a header or an option that is not valid, UploadInvalid for an empty upload, and as
    `find_extendable` for a dataset that it extends."""
    try:
        length = tus.whole_number(request.headers, "Upload-Length")
        fields = tus.read_metadata(request.headers, options=OPTION_NAMES)
        sha256 = fields.pop("sha256", "").lower() or None
        if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise tus.HeaderInvalid("Upload-Metadata", "expected 64 hexadecimal digits as `sha256`")
    except tus.HeaderInvalid as error:
        raise invalid_fields([{"field": error.name, "message": error.message}]) from error
    if length == 0:
        raise UploadInvalid("The upload is empty.")
    source_name = safe_name(fields.pop("filename", "")) or "upload.zip"
    name = safe_name(fields.pop("name", "")) or PurePosixPath(source_name).stem or "dataset"
    refuse_nul(fields)
    project = fields.pop("project", "") or None
    extends = fields.pop("extends", "") or None
    if extends:
        extends = extendable_job(platform, extends, {**fields, "project": project or ""})
        project = None
    options = options_of(fields)
    return NewUpload(
        length_bytes=length,
        source_name=source_name,
        name=name[:NAME_MAX],
        project=project,
        options=options.model_dump(mode="json", exclude_unset=extends is not None),
        extends=extends,
        sha256=sha256,
        client_metadata=request.headers.get("upload-metadata") or None,
    )
