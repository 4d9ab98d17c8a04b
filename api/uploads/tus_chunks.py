"""Receiving a chunk of a resumable upload: the body of one PATCH, from the request into the store.

The chunk is stored in parts of 32 MiB as it arrives, so that a broken connection loses little: the parts received
until then stay. A chunk with a checksum is stored as one part, and only after its checksum was verified.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from api.uploads.body import BATCH_BYTES, announced_length
from api.uploads.temporary import TemporaryFile
from api.uploads.tus_headers import Checksum
from core.db.tables import UploadPartRow, UploadRow
from core.domain.errors import ChecksumMismatch, RequestTimeout, UploadInvalid
from core.domain.keys import upload_part_key
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.uploads.room import UploadRoom
from core.services.uploads.sessions import UploadLease, add_part, lease_upload, release_upload, renewing_lease

PART_BYTES = 32 * MIB  # lost at most with a broken connection; the largest upload has 640 parts


async def append_chunk(
    request: Request, platform: Platform, upload_id: str, *, offset: int, checksum: Checksum | None
) -> UploadRow:
    """Append the body to an upload whose offset is `offset`. Returns the upload with its new offset.

    Raises what `lease_upload` does, UploadInvalid (more bytes than announced), ChecksumMismatch, UploadLocked (another
    request took over), OutOfSpace, Unavailable, RequestTimeout, ClientDisconnect.
    """
    lease, row = await run_in_threadpool(lease_upload, platform.db, upload_id, offset=offset)
    writer: _ChunkWriter | None = None
    try:
        writer = await run_in_threadpool(_ChunkWriter, platform, lease, row, checksum, announced_length(request))
        with renewing_lease(platform.db, lease):
            await _receive(request, writer)
    finally:
        if writer is not None:
            writer.close()
        await asyncio.shield(run_in_threadpool(release_upload, platform.db, lease))
    return writer.row


async def _receive(request: Request, writer: "_ChunkWriter") -> None:
    try:
        async with aclosing(_batches(request)) as batches:
            async for batch in batches:
                await run_in_threadpool(writer.write, batch)
    except (ClientDisconnect, RequestTimeout):
        await run_in_threadpool(writer.keep_received)
        raise
    await run_in_threadpool(writer.finish)


async def _batches(request: Request) -> AsyncGenerator[bytes]:
    """The body in batches of about 1 MiB. Bytes received before a broken connection are yielded before it is raised."""
    batch, stream = bytearray(), request.stream()
    try:
        while True:
            batch += await anext(stream)
            if len(batch) >= BATCH_BYTES:
                yield bytes(batch)
                batch.clear()
    except StopAsyncIteration:
        yield bytes(batch)
    except (ClientDisconnect, RequestTimeout):
        yield bytes(batch)
        raise


class _ChunkWriter:
    """Collects the bytes of one chunk in a temporary file and stores them as parts. Used by one thread at a time."""

    def __init__(
        self, platform: Platform, lease: UploadLease, row: UploadRow, checksum: Checksum | None, length: int | None
    ) -> None:
        self.row = row
        self._platform = platform
        self._lease = lease
        self._checksum = checksum
        room = UploadRoom(platform).for_chunk(lambda: self.row, length, is_whole=checksum is not None)
        self._file = TemporaryFile(platform.settings.temp, room)
        self._digests = _new_digests(checksum)
        self._bytes = 0

    def write(self, data: bytes) -> None:
        while data:
            room = len(data) if self._checksum else PART_BYTES - self._bytes
            self._append(data[:room])
            data = data[room:]
            if self._bytes >= PART_BYTES and not self._checksum:
                self._store_part()

    def finish(self) -> None:
        """Store the rest of a complete chunk. Raises ChecksumMismatch."""
        digests = {name: digest.digest() for name, digest in self._digests.items()}
        if self._checksum and not self._checksum.matches(digests):
            raise ChecksumMismatch(
                "The chunk does not match its checksum; nothing of it was kept. Send it again.",
                offset=self.row.received_bytes,
            )
        self._store_part()

    def keep_received(self) -> None:
        """Store what arrived of an interrupted chunk, unless it has a checksum, which can no longer be verified."""
        if not self._checksum:
            self._store_part()

    def close(self) -> None:
        self._file.remove()

    def _append(self, data: bytes) -> None:
        if self.row.received_bytes + self._bytes + len(data) > self.row.length_bytes:
            raise UploadInvalid(
                f"The chunk exceeds the {self.row.length_bytes} bytes that were announced as Upload-Length.",
                length=self.row.length_bytes,
            )
        self._file.write(data)
        for digest in self._digests.values():
            digest.update(data)
        self._bytes += len(data)

    def _store_part(self) -> None:
        """The object first, then the row that records it."""
        if self._bytes == 0:
            return
        self._file.flush()
        start, sha256 = self.row.received_bytes, self._digests["sha256"].hexdigest()
        key = upload_part_key(self.row.id, start, self._lease.token)
        self._platform.store.take(key, self._file.path, sha256=sha256)
        part = UploadPartRow(upload_id=self.row.id, start=start, bytes=self._bytes, sha256=sha256, key=key)
        self.row = add_part(self._platform.db, self._platform.settings, self._lease, part)
        self._file.begin_anew()
        self._bytes, self._digests = 0, _new_digests(self._checksum)


def _new_digests(checksum: Checksum | None) -> "dict[str, hashlib._Hash]":
    names = {"sha256"} | ({checksum.algorithm} if checksum else set())
    return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}
