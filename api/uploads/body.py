"""Receiving an upload into a temporary file: size limit and sha256 as it arrives, in constant memory."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.uploads.temporary import TemporaryFile
from core.domain.errors import UploadInvalid, UploadTooLarge
from core.domain.field_errors import reason_of
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.jobs.extension import find_extendable
from core.services.projects.lookup import raise_if_not_joinable
from core.services.uploads.room import UploadRoom
from core.settings import Settings
from http_common.multipart import FormReader
from http_common.problems import invalid_fields
from http_common.unknown import unknown_names
from pipeline.params.prepare import SYNONYMS, PrepareOptions

BATCH_BYTES = MIB  # parsed, hashed and written by one call in a thread; all that is in memory of an upload
FORM_BYTES = MIB  # allowance for a form around its file
RAW_TYPES = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
NAME_MAX = 200
OPTION_NAMES = (*PrepareOptions.model_fields, *SYNONYMS)
_FIELDS = ("name", "project", "extends", *OPTION_NAMES)


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A received file, and the fields that came with it: of the form, or of the query.

    It is removed at the end of the block that received it. `source_name` may be empty.
    """

    path: Path
    bytes: int
    sha256: str
    source_name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReceivedUpload:
    """A received ZIP of a dataset."""

    path: Path
    bytes: int
    sha256: str
    source_name: str
    name: str
    project: str | None  # the name of the one that it joins
    options: PrepareOptions
    extends: str | None = None  # the job that it extends


@asynccontextmanager
async def received(request: Request, platform: Platform) -> AsyncIterator[ReceivedUpload]:
    """Receive a dataset. Raises as `received_file`, RequestInvalid for options, and what `raise_if_not_joinable` raises
    of a project, or `find_extendable` of a dataset: at once where the query names it.
    """
    if extended := request.query_params.get("extends"):
        await run_in_threadpool(extendable_job, platform, extended, request.query_params)
    if in_query := request.query_params.get("project"):
        await run_in_threadpool(raise_if_not_joinable, platform.db, in_query)
    async with received_file(request, platform, _FIELDS) as file:
        fields = dict(file.fields)
        name = safe_name(fields.pop("name", "")) or PurePosixPath(file.source_name).stem or "dataset"
        project = fields.pop("project", "") or None
        extends = fields.pop("extends", "") or None
        if extends:
            extends = await run_in_threadpool(extendable_job, platform, extends, {**fields, "project": project or ""})
            project = None
        options = options_of(fields)
        if project and project != in_query:
            await run_in_threadpool(raise_if_not_joinable, platform.db, project)
        yield ReceivedUpload(
            path=file.path,
            bytes=file.bytes,
            sha256=file.sha256,
            source_name=file.source_name or "upload.zip",
            name=name[:NAME_MAX],
            project=project,
            options=options,
            extends=extends,
        )


def extendable_job(platform: Platform, ref: str, fields: Mapping[str, str]) -> str:
    """The id of the job that an upload with these fields extends. Raises RequestInvalid, and as `find_extendable`."""
    parent = find_extendable(platform, ref)
    if (named := fields.get("project")) and named != parent.project:
        message = f"the dataset joins the project of the one that it extends: {parent.project}"
        raise invalid_fields([{"field": "project", "message": message}])
    if fields.get("split", "keep") not in ("", "keep"):
        raise invalid_fields([{"field": "split", "message": "an extension keeps the split of what it extends"}])
    given = options_of({name: value for name, value in fields.items() if name in OPTION_NAMES})
    valid_options(parent.options | given.model_dump(mode="json", exclude_unset=True))  # beside those of the parent
    return parent.id


@asynccontextmanager
async def received_file(request: Request, platform: Platform, known: Collection[str]) -> AsyncIterator[ReceivedFile]:
    """Receive the body of a request into a temporary file, which is removed after the block in any case.

    `known`: the query parameters that are fields. Those of a form are all passed on.
    Raises UploadInvalid, UploadTooLarge, LimitExceeded, OutOfSpace, ClientDisconnect.
    """
    length = announced_length(request)
    refuse_too_large((length or 0) - FORM_BYTES, platform.settings)
    sink = await run_in_threadpool(_Sink, platform, length)
    try:
        yield await _receive(request, sink, known)
    finally:
        sink.file.remove()


def announced_length(request: Request) -> int | None:
    """The Content-Length; None for a body that is sent in chunks."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdigit() else None


def refuse_too_large(size: int, settings: Settings) -> None:
    if size > settings.upload_max_bytes:
        raise _too_large(settings)


class _Sink:
    """The temporary file with its size and digest so far. Used by one thread at a time."""

    def __init__(self, platform: Platform, length: int | None) -> None:
        self.bytes = 0
        self._settings = platform.settings
        self.file = TemporaryFile(platform.settings.temp, UploadRoom(platform).for_body(length))
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > self._settings.upload_max_bytes:
            raise _too_large(self._settings)
        self.file.write(data)
        self._digest.update(data)

    def finish(self) -> str:
        """The sha256 of the whole file."""
        self.file.flush()
        return self._digest.hexdigest()


async def _receive(request: Request, sink: _Sink, known: Collection[str]) -> ReceivedFile:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    fields = {name: value for name, value in request.query_params.items() if name in known}
    if kind == "multipart/form-data":
        form = FormReader(content_type, sink.write)
        await write_in_batches(request, form.feed)
        form.finish()
        fields |= form.fields
        source_name = form.file_name or ""
    elif kind in RAW_TYPES:
        source_name = _file_name_in(request.headers)
        await write_in_batches(request, sink.write)
    else:
        raise UploadInvalid(
            "Send multipart/form-data with the file field `file`, or the file itself as application/zip or "
            "application/octet-stream.",
            content_type=kind,
        )
    refuse_nul(fields)
    sha256 = await run_in_threadpool(sink.finish)
    if sink.bytes == 0:
        raise UploadInvalid("The upload is empty.")
    return ReceivedFile(sink.file.path, sink.bytes, sha256, safe_name(source_name), fields)


async def write_in_batches(request: Request, write: Callable[[bytes], None]) -> None:
    """Pass the body on in batches, each in a thread: the event loop stays free, and a slow disk slows the client."""
    batch = bytearray()
    async for chunk in request.stream():
        batch += chunk
        if len(batch) >= BATCH_BYTES:
            await run_in_threadpool(write, bytes(batch))
            batch.clear()
    await run_in_threadpool(write, bytes(batch))


def refuse_nul(fields: Mapping[str, str]) -> None:
    """Raises RequestInvalid for text that PostgreSQL refuses. A name is made safe instead."""
    if found := [name for name, value in fields.items() if "\x00" in value and name != "name"]:
        raise invalid_fields([{"field": name[:80], "message": "the text contains a NUL character"} for name in found])


def options_of(fields: Mapping[str, str]) -> PrepareOptions:
    """Raises RequestInvalid with the name of each unknown or invalid field."""
    if unknown := [name for name in fields if name not in OPTION_NAMES]:
        raise unknown_names("field", unknown, _FIELDS)
    # A form sends a field that was not filled in as an empty one.
    return valid_options({name: value for name, value in fields.items() if value})


def valid_options(options: Mapping[str, Any]) -> PrepareOptions:
    """Raises RequestInvalid with the name of each invalid field."""
    try:
        return PrepareOptions.model_validate(options)
    except ValidationError as error:
        raise invalid_fields(
            [
                {
                    "field": ".".join(map(str, each["loc"])) or "val_fraction, test_fraction",
                    "message": reason_of(each["msg"]),
                }
                for each in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from error


def _file_name_in(headers: Mapping[str, str]) -> str:
    if given := headers.get("x-file-name"):
        return unquote(given)
    message = Message()
    message["content-disposition"] = headers.get("content-disposition", "")
    try:
        return message.get_filename() or ""
    except (ValueError, TypeError, LookupError):  # an unknown charset, bytes invalid in it, half a continuation
        return ""


def safe_name(name: str) -> str:
    """The last part of a name, printable, at most NAME_MAX characters. For display: never used as a path."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(char for char in last if char.isprintable()).strip()[:NAME_MAX]


def _too_large(settings: Settings) -> UploadTooLarge:
    limit = settings.upload_max_bytes
    return UploadTooLarge(f"The upload exceeds the limit of {limit} bytes.", limit_bytes=limit)
