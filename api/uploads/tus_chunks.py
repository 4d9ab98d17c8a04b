"""A piece of a resumable upload, from the request into the store.

It is stored in parts of 32 MiB as it comes, so that little is lost when the line breaks: what came up to then counts.
With a checksum it counts only as a whole, and is stored as one part once the checksum was found to hold.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from api.uploads.body import BATCH_BYTES
from api.uploads.tus_headers import Checksum
from core import clock
from core.db.tables import UploadPartRow, UploadRow
from core.domain.errors import ChecksumMismatch, UploadInvalid
from core.domain.keys import upload_part_key
from core.services.context import Platform
from core.services.uploads.sessions import UploadLease, add_part, keeping_lease, lease_upload, release_upload
from core.settings import MIB
from core.storage.transfer import full_disk_told

PART_BYTES = 32 * MIB  # what a broken line costs at most; 640 parts for the largest upload
IDLE_SECONDS = 30.0  # without a byte: the line is dead, though nobody said so


async def take_piece(
    request: Request, platform: Platform, upload_id: str, *, offset: int, checksum: Checksum | None
) -> UploadRow:
    """Append the body to an upload that stands at `offset`. Returns it as it stands then.

    Raises what `hold_upload` does, UploadInvalid (more bytes than announced), ChecksumMismatch, UploadLocked (another
    request took over), OutOfSpace, Unavailable, ClientDisconnect.
    """
    lease, row = await run_in_threadpool(lease_upload, platform.db, upload_id, offset=offset)
    intake = _Intake(platform, lease, row, checksum)
    try:
        with keeping_lease(platform.db, lease, alive=intake.alive):
            await _feed(request, intake)
    finally:
        intake.drop()
        await asyncio.shield(run_in_threadpool(release_upload, platform.db, lease))
    return intake.row


async def _feed(request: Request, intake: "_Intake") -> None:
    try:
        async with aclosing(_batches(request)) as batches:
            async for batch in batches:
                await run_in_threadpool(intake.write, batch)
    except (ClientDisconnect, TimeoutError):
        await run_in_threadpool(intake.keep)
        raise ClientDisconnect from None
    await run_in_threadpool(intake.finish)


async def _batches(request: Request) -> AsyncGenerator[bytes]:
    """The body in pieces of about 1 MiB; what is in hand is given out before a broken line is told."""
    batch, stream = bytearray(), request.stream()
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                batch += await anext(stream)
            if len(batch) >= BATCH_BYTES:
                yield bytes(batch)
                batch.clear()
    except StopAsyncIteration:
        yield bytes(batch)
    except (ClientDisconnect, TimeoutError):
        yield bytes(batch)
        raise


class _Intake:
    """What has come of one request. Used by one thread at a time."""

    def __init__(self, platform: Platform, lease: UploadLease, row: UploadRow, checksum: Checksum | None) -> None:
        self.row = row
        self._platform = platform
        self._lease = lease
        self._checksum = checksum
        self._path = platform.settings.temp / f"upload-{uuid4().hex}.part"
        self._file = self._path.open("xb")
        self._digests = _new_digests(checksum)
        self._bytes = 0
        self._seen = clock.monotonic()

    def alive(self) -> bool:
        """Whether a byte came lately. A line that only looks open does not keep others out."""
        return clock.monotonic() - self._seen < IDLE_SECONDS

    def write(self, data: bytes) -> None:
        while data:
            room = len(data) if self._checksum else PART_BYTES - self._bytes
            self._append(data[:room])
            data = data[room:]
            if self._bytes >= PART_BYTES and not self._checksum:
                self._store()
        self._seen = clock.monotonic()

    def finish(self) -> None:
        """The body has come whole. Raises ChecksumMismatch."""
        digests = {name: digest.digest() for name, digest in self._digests.items()}
        if self._checksum and not self._checksum.holds(digests):
            raise ChecksumMismatch(
                "The piece arrived with other bytes than its checksum says; nothing of it was kept. Send it again.",
                offset=self.row.received_bytes,
            )
        self._store()

    def keep(self) -> None:
        """The line broke: what came counts, unless a checksum was to vouch for it."""
        if not self._checksum:
            self._store()

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        if self.row.received_bytes + self._bytes + len(data) > self.row.length_bytes:
            raise UploadInvalid(
                f"More bytes than the {self.row.length_bytes} that were announced.", length=self.row.length_bytes
            )
        with full_disk_told(self._path.parent):
            self._file.write(data)
        for digest in self._digests.values():
            digest.update(data)
        self._bytes += len(data)

    def _store(self) -> None:
        """Bytes, then row."""
        if self._bytes == 0:
            return
        with full_disk_told(self._path.parent):
            self._file.flush()
        start, sha256 = self.row.received_bytes, self._digests["sha256"].hexdigest()
        key = upload_part_key(self.row.id, start, self._lease.token)
        self._platform.store.put(key, self._path, sha256=sha256)
        part = UploadPartRow(upload_id=self.row.id, start=start, bytes=self._bytes, sha256=sha256, key=key)
        self.row = add_part(self._platform.db, self._platform.settings, self._lease, part)
        self._file.seek(0)
        self._file.truncate()
        self._bytes, self._digests = 0, _new_digests(self._checksum)
        self._seen = clock.monotonic()


def _new_digests(checksum: Checksum | None) -> "dict[str, hashlib._Hash]":
    names = {"sha256"} | ({checksum.algorithm} if checksum else set())
    return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}
