"""Validating the end of a ZIP in a child process, because 300,000 entries take seconds and 200 MB of memory."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.uploads.body import write_in_batches
from api.uploads.temporary import TemporaryFile
from core.domain.errors import DarkroomError, Internal, LimitExceeded, PreflightIncomplete, UploadInvalid
from core.domain.findings import Finding
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.uploads.room import UploadRoom
from pipeline.process.environment import child_environment

BODY_MAX_BYTES = 64 * MIB  # a directory of 300,000 entries with names of 100 bytes takes 45 MB
CHILD_SECONDS = 60.0


async def preflight(request: Request, platform: Platform, *, total: int) -> dict[str, Any]:
    """The result as the JSON of `Preflight`. Raises PreflightIncomplete, UploadInvalid, LimitExceeded, OutOfSpace."""
    limit = platform.settings.upload_max_bytes
    room = await run_in_threadpool(UploadRoom(platform).for_body, BODY_MAX_BYTES, is_stored=False)
    file = TemporaryFile(platform.settings.temp, room)
    try:
        sent = await _receive(request, file)
        if sent > total:
            raise UploadInvalid(
                "The body is longer than `bytes`, the size of the whole ZIP.", sent_bytes=sent, bytes=total
            )
        async with _free_slot(request):
            result = await run_in_threadpool(_validate, file.path, total)
    finally:
        file.remove()
    if needed := result.pop("needed_bytes"):
        raise _incomplete(needed, sent)
    return result if total <= limit else _with_too_large(result, total, limit)


def _incomplete(needed: int, sent: int) -> DarkroomError:
    if needed > BODY_MAX_BYTES:
        return LimitExceeded(
            f"The ZIP's directory takes {needed} bytes, which exceeds the preflight's limit of {BODY_MAX_BYTES} bytes. "
            "Upload the ZIP without a preflight.",
            limit_bytes=BODY_MAX_BYTES,
        )
    return PreflightIncomplete(
        f"Send the last {needed} bytes of the ZIP; {sent} were sent.", needed_bytes=needed, sent_bytes=sent
    )


def _with_too_large(result: dict[str, Any], total: int, limit: int) -> dict[str, Any]:
    finding = Finding.of("upload-too-large", "", f"The ZIP has {total} bytes; the limit is {limit}.")
    counts = result["counts"] | {finding.code: 1}
    return result | {"accepted": False, "findings": [finding.as_dict(), *result["findings"]], "counts": counts}


def _free_slot(request: Request) -> asyncio.Semaphore:
    slots: asyncio.Semaphore = request.app.state.preflights
    return slots


async def _receive(request: Request, file: TemporaryFile) -> int:
    """Write the body to the file. Returns its size in bytes."""
    size = 0

    def write(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > BODY_MAX_BYTES:
            raise LimitExceeded(f"The body exceeds the limit of {BODY_MAX_BYTES} bytes.", limit_bytes=BODY_MAX_BYTES)
        file.write(data)

    await write_in_batches(request, write)
    await run_in_threadpool(file.flush)
    return size


def _validate(path: Path, total: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipeline", "preflight", "--end", str(path), "--bytes", str(total)]
    try:
        ended = subprocess.run(
            command,
            env=child_environment(os.environ),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LimitExceeded(f"Validating the directory takes more than {CHILD_SECONDS:.0f} s.") from error
    if ended.returncode < 0:
        raise LimitExceeded("Validating the directory takes more memory or time than is allowed.")
    if ended.returncode:
        raise Internal from RuntimeError(ended.stderr.decode(errors="replace")[-2000:])
    result: dict[str, Any] = json.loads(ended.stdout)
    return result
