# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""Sends a file in chunks with checksums, and continues after any interruption."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from darkroom._sync.runtime import in_thread, sleep
from darkroom._sync.transport import Transport, json_of, new_key
from darkroom.errors import ChecksumMismatch, DarkroomError, RequestInvalid, ServiceUnavailable, error_of
from darkroom.schemas import Dataset, Preflight
from darkroom.schemas.decode import decode
from darkroom.uploads import (
    END_BYTES,
    TUS,
    OnProgress,
    UploadProgress,
    UploadRecord,
    chunk_at,
    end_of,
    metadata_of,
    sha256_of,
)

T = TypeVar("T")

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)  # then the last one again and again
GIVE_UP_SECONDS = 600.0  # without a byte of progress
# Nothing answered, the service restarts or is busy, or a chunk arrived damaged: the next attempt may succeed.
_TRANSIENT = frozenset({0, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504})
_GONE = frozenset({404, 410})


class UploadGone(Exception):
    """The service no longer has the upload: it expired or was refused."""


def preflight(transport: Transport, archive: Path) -> Preflight:
    """What the service would refuse, from the end of the ZIP alone."""
    total, needed = archive.stat().st_size, END_BYTES
    while True:
        content = end_of(archive, needed)
        try:
            answer = transport.send("POST", "/preflight", query={"bytes": total}, content=content, repeatable=True)
            return decode(Preflight, json_of(answer))
        except RequestInvalid as error:
            more = int(error.facts.get("needed_bytes", 0))
            if error.slug != "preflight-incomplete" or more <= needed:
                raise
            needed = more


def upload(
    transport: Transport, archive: Path, *, fields: dict[str, str], records: Path, on_progress: OnProgress
) -> Dataset:
    """Sends `archive`, or what the service lacks of it. Returns the dataset that it became, as it was received.

    `records` is a folder with one file for each unfinished upload.
    Raises ServiceUnreachable or ServiceUnavailable after ten minutes without progress: the next call continues.
    """
    total = archive.stat().st_size
    sha256 = in_thread(lambda: sha256_of(archive, lambda done: on_progress(UploadProgress("sha256", done, total))))
    record = UploadRecord.of(records, transport.url, sha256, fields)
    resumed = bool(record.read())
    for _ in range(2):
        path = record.read() or _create(transport, archive, total, {**fields, "sha256": sha256}, record)
        try:
            _send(transport, path, archive, total, _reporting(on_progress, total, resumed=resumed))
            dataset = _wait_for_job(transport, path)
        except UploadGone:
            record.remove()
            resumed = False
            continue
        record.remove()
        if dataset.source.sha256 != sha256:
            raise ChecksumMismatch(
                f"The service stored sha256 {dataset.source.sha256}; the file has {sha256}. Upload it again."
            )
        return dataset
    raise ServiceUnavailable("The service dropped the upload twice. Try again later.")


def _reporting(on_progress: OnProgress, total: int, *, resumed: bool) -> Callable[[int], None]:
    return lambda offset: on_progress(UploadProgress("upload", offset, total, resumed=resumed))


def _create(transport: Transport, archive: Path, total: int, fields: dict[str, str], record: UploadRecord) -> str:
    metadata = metadata_of({"filename": archive.name, **fields})
    headers = {**TUS, **new_key(), "Upload-Length": str(total), "Upload-Metadata": metadata}
    created = _patiently(lambda: transport.json("POST", "/uploads", headers=headers))
    path = f"/uploads/{created['upload_id']}"
    record.write(transport.url, path)
    return path


def _send(transport: Transport, path: str, archive: Path, length: int, on_offset: Callable[[int], None]) -> None:
    offset, progress_at, failures = _offset(transport, path), monotonic(), 0
    on_offset(offset)
    while offset < length:
        chunk, headers = in_thread(partial(chunk_at, archive, offset, length=length))
        try:
            answer = transport.send("PATCH", path, content=chunk, headers=headers)
            offset, progress_at, failures = int(answer.headers["upload-offset"]), monotonic(), 0
        except DarkroomError as error:
            if error.status in _GONE:
                raise UploadGone from error
            if error.status not in _TRANSIENT or monotonic() - progress_at > GIVE_UP_SECONDS:
                raise
            sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1
            known = _offset(transport, path)
            offset, progress_at = known, monotonic() if known > offset else progress_at
        on_offset(offset)


def _offset(transport: Transport, path: str) -> int:
    try:
        answer = _patiently(lambda: transport.send("HEAD", path, headers=TUS))
    except DarkroomError as error:
        if error.status in _GONE:
            raise UploadGone from error
        raise
    return int(answer.headers["upload-offset"])


def _wait_for_job(transport: Transport, path: str) -> Dataset:
    ends = monotonic() + GIVE_UP_SECONDS
    while monotonic() < ends:
        current: dict[str, Any] = _patiently(lambda: transport.json("GET", path))
        if current["state"] == "done":
            return _patiently(partial(transport.read, Dataset, f"/jobs/{current['job_id']}"))
        if current["state"] == "refused":
            problem = current["problem"]
            raise error_of(int(problem.get("status", 422)), problem)
        sleep(0.2)
    raise ServiceUnavailable(
        f"The service has every byte, but has made no job of them in {GIVE_UP_SECONDS:.0f} s. Check GET {path} later."
    )


def _patiently(call: Callable[[], T]) -> T:
    """Repeats the call until the service answers, for at most ten minutes."""
    ends, failures = monotonic() + GIVE_UP_SECONDS, 0
    while True:
        try:
            return call()
        except DarkroomError as error:
            if error.status not in _TRANSIENT or monotonic() > ends:
                raise
        sleep(PAUSES[min(failures, len(PAUSES) - 1)])
        failures += 1
