"""A resumable upload as its client: judged ahead, sent in pieces with checksums, gone on with after any break.

Only httpx and the standard library: copy it, or use any client of the tus protocol.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

PIECE_BYTES = 16 * 1024**2  # sent with one checksum; what a break costs at most
END_BYTES = 65_557  # the longest end record of a ZIP: the least that the preflight wants
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)  # the last one again and again
GIVE_UP_SECONDS = 600.0  # without a byte of progress
READ_BYTES = 1024**2
# Being restarted, busy, or a line that broke: the same request may do in a moment.
_PASSING = frozenset({408, 409, 423, 425, 429, 460, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
_HEADERS = {"Tus-Resumable": "1.0.0"}

OnBytes = Callable[[int], None]


class UploadFailed(Exception):
    """Says to a person why it did not work."""


class UploadGone(Exception):
    """The service no longer has the upload: it expired, or it was refused."""


def open_client(url: str, *, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(30.0, read=120.0))


def sha256_of(archive: Path, *, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def ask_preflight(client: httpx.Client, archive: Path) -> dict[str, Any]:
    """What the service would refuse, by the end of the ZIP alone. Raises UploadFailed, at once without a service."""
    total, needed = archive.stat().st_size, END_BYTES
    while True:
        with archive.open("rb") as file:
            file.seek(max(0, total - needed))
            end = file.read()
        try:
            answer = client.post("/preflight", params={"bytes": total}, content=end)
        except httpx.TransportError as error:
            raise UploadFailed(
                f"{client.base_url} does not answer: {str(error).rstrip('.') or type(error).__name__}."
            ) from error
        body = _json(answer)
        if body.get("slug") != "preflight-incomplete" or body["needed_bytes"] <= needed:
            return _sound(answer)
        needed = body["needed_bytes"]


def upload(
    client: httpx.Client,
    archive: Path,
    *,
    sha256: str,
    fields: dict[str, str],
    notes: Path,
    on_offset: Callable[[int, bool], None],
) -> dict[str, Any]:
    """Send `archive`, or the rest of it, and return the job that it became.

    `notes` is a folder that remembers unfinished uploads: the same file for the same service with the same `fields` is
    gone on with. `on_offset(bytes, resumed)` is told what is stored for good. Raises UploadFailed.
    """
    note = notes / f"{_identity(client, sha256, fields)}.json"
    metadata = {"filename": archive.name, "sha256": sha256, **fields}
    resumed = note.exists()
    for _ in range(2):
        path = _noted(note) or _begin(client, archive.stat().st_size, metadata, note)
        try:
            with archive.open("rb") as file:
                for offset in _send(client, path, file.fileno(), archive.stat().st_size):
                    on_offset(offset, resumed)
                    resumed = False
            job = _wait_for_job(client, path)
        except UploadGone:
            note.unlink(missing_ok=True)
            continue
        note.unlink(missing_ok=True)
        if job["source"]["sha256"] != sha256:
            raise UploadFailed(f"The service took {job['source']['sha256']}; the file has {sha256}.")
        return job
    raise UploadFailed("The service lost the upload twice.")


def _begin(client: httpx.Client, length: int, metadata: dict[str, str], note: Path) -> str:
    fresh = {**_HEADERS, "Upload-Length": str(length), "Idempotency-Key": os.urandom(16).hex()}
    said = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    answer = _patiently(lambda: client.post("/uploads", headers={**fresh, "Upload-Metadata": said}))
    path = f"/uploads/{_sound(answer)['upload_id']}"
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_suffix(".part")
    partial.write_text(json.dumps({"service": str(client.base_url), "path": path}))
    partial.replace(note)
    return path


def _send(client: httpx.Client, path: str, file: int, length: int) -> Iterator[int]:
    """Yields the offset that the service has, at first and after each piece. Raises UploadFailed, UploadGone."""
    offset, progress_at, failures = _offset(client, path), time.monotonic(), 0
    yield offset
    while offset < length:
        piece = os.pread(file, min(PIECE_BYTES, length - offset), offset)
        if not piece:
            raise UploadFailed("The file became shorter while it was sent.")
        try:
            answer = client.patch(path, content=piece, headers=_piece_headers(offset, piece))
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == httpx.codes.NO_CONTENT:
            offset, progress_at, failures = int(answer.headers["upload-offset"]), time.monotonic(), 0
            yield offset
            continue
        if answer is not None and answer.status_code not in _PASSING:
            _refuse(answer)
        if time.monotonic() - progress_at > GIVE_UP_SECONDS:
            raise UploadFailed(f"No progress for {GIVE_UP_SECONDS:.0f} s. Start again later: it goes on from {offset}.")
        time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1
        known = _offset(client, path)
        if known > offset:
            progress_at = time.monotonic()
        offset = known
        yield offset


def _piece_headers(offset: int, piece: bytes) -> dict[str, str]:
    return {
        **_HEADERS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(piece).digest()).decode()}",
    }


def _offset(client: httpx.Client, path: str) -> int:
    answer = _patiently(lambda: client.head(path, headers=_HEADERS))
    if answer.is_error:
        _refuse(answer)
    return int(answer.headers["upload-offset"])


def _wait_for_job(client: httpx.Client, path: str) -> dict[str, Any]:
    ends = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < ends:
        shown = _sound(_patiently(lambda: client.get(path)))
        if shown["state"] == "done":
            return _sound(_patiently(lambda: client.get(f"/jobs/{shown['job_id']}")))  # noqa: B023 - called at once
        if shown["state"] == "refused":
            raise UploadFailed(f"{shown['problem']['title']}. {shown['problem']['detail']}")
        time.sleep(1.0)
    raise UploadFailed("All bytes are there, and the service does not get done with them. Look again later.")


def _patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask until the service answers. Raises UploadFailed."""
    ends, failures = time.monotonic() + GIVE_UP_SECONDS, 0
    while True:
        try:
            answer = ask()
            if answer.status_code not in _PASSING:
                return answer
            said = str(answer.status_code)
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
        if time.monotonic() > ends:
            raise UploadFailed(f"The service does not answer: {said}.")
        time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1


def _identity(client: httpx.Client, sha256: str, fields: dict[str, str]) -> str:
    """The bytes, the service and the options: whatever the file is called, and whenever it was touched."""
    return hashlib.sha256(json.dumps([str(client.base_url), sha256, sorted(fields.items())]).encode()).hexdigest()


def _noted(note: Path) -> str:
    try:
        return str(json.loads(note.read_text())["path"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""


def _refuse(answer: httpx.Response) -> None:
    if answer.status_code in _GONE:
        raise UploadGone
    _sound(answer)
    raise UploadFailed(f"{answer.url} answered {answer.status_code}.")


def _sound(answer: httpx.Response) -> dict[str, Any]:
    body = _json(answer)
    if answer.is_error:
        raise UploadFailed(f"{answer.status_code}: {body.get('title', '')}. {body.get('detail', '')}")
    return body


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = answer.json()
    except json.JSONDecodeError:
        raise UploadFailed(f"{answer.url} answered {answer.status_code} without JSON.") from None
    return body
