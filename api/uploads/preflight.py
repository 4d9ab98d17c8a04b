"""The end of a ZIP, judged by a child process: 300,000 entries take seconds and 200 MB, and the API stays small."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.uploads.body import BATCH_BYTES, check_room
from core.domain.errors import Internal, LimitExceeded, PreflightIncomplete, UploadInvalid
from core.domain.findings import Finding
from core.settings import MIB, Settings
from core.storage.transfer import full_disk_told
from pipeline.process.environment import child_environment

BODY_MAX_BYTES = 64 * MIB  # a directory of 300,000 entries with names of 100 bytes has 45 MB
CHILD_SECONDS = 60.0


async def preflight(request: Request, settings: Settings, *, total: int) -> dict[str, Any]:
    """What the child found. Raises PreflightIncomplete, UploadInvalid, LimitExceeded, OutOfSpace."""
    check_room(BODY_MAX_BYTES, settings)
    path = settings.temp / f"upload-{uuid4().hex}.part"
    try:
        sent = await _receive(request, path)
        if sent > total:
            raise UploadInvalid("The end of the ZIP cannot be longer than the whole.", sent_bytes=sent, bytes=total)
        async with _room(request):
            found = await run_in_threadpool(_judge, path, total)
    finally:
        path.unlink(missing_ok=True)
    if needed := found.pop("needed_bytes"):
        return _incomplete(needed, sent)
    return found | _too_large(total, found, settings)


def _incomplete(needed: int, sent: int) -> dict[str, Any]:
    if needed > BODY_MAX_BYTES:
        raise LimitExceeded(
            f"The directory has {needed} bytes; at most {BODY_MAX_BYTES} are judged ahead.", limit_bytes=BODY_MAX_BYTES
        )
    raise PreflightIncomplete(
        f"The last {needed} bytes of the ZIP are needed, {sent} were sent.", needed_bytes=needed, sent_bytes=sent
    )


def _too_large(total: int, found: dict[str, Any], settings: Settings) -> dict[str, Any]:
    limit = settings.upload_max_bytes
    if total <= limit:
        return {}
    finding = Finding.of("upload-too-large", "", f"The ZIP has {total} bytes; the limit is {limit}.")
    counts = found["counts"] | {finding.code: 1}
    return {"accepted": False, "findings": [finding.as_dict(), *found["findings"]], "counts": counts}


def _room(request: Request) -> asyncio.Semaphore:
    room: asyncio.Semaphore = request.app.state.preflights
    return room


async def _receive(request: Request, path: Path) -> int:
    size, batch = 0, bytearray()

    def write(data: bytes) -> None:
        with full_disk_told(path.parent), path.open("ab") as file:
            file.write(data)

    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_MAX_BYTES:
            raise LimitExceeded(f"The body may have {BODY_MAX_BYTES} bytes.", limit_bytes=BODY_MAX_BYTES)
        batch += chunk
        if len(batch) >= BATCH_BYTES:
            await run_in_threadpool(write, bytes(batch))
            batch.clear()
    await run_in_threadpool(write, bytes(batch))
    return size


def _judge(path: Path, total: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipeline.prepare.preflight", "--end", str(path), "--bytes", str(total)]
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
        raise LimitExceeded(f"Judging the directory takes more than {CHILD_SECONDS:.0f} s.") from error
    if ended.returncode < 0:
        raise LimitExceeded("Judging the directory takes more memory or time than is allowed.")
    if ended.returncode:
        raise Internal from RuntimeError(ended.stderr.decode(errors="replace")[-2000:])
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
