"""The client of a resumable upload: a preflight, then chunks with checksums, resumed after any interruption.

Needs only httpx and the standard library: copy it, or use any client of the tus protocol.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx

CHUNK_BYTES = 16 * 1024**2  # sent with one checksum; an interruption costs this much at most
END_BYTES = 65_557  # the longest end record of a ZIP: what a preflight needs at least
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)  # then the last one again and again
GIVE_UP_SECONDS = 600.0  # without a byte of progress
READ_BYTES = 1024**2
# The service restarts or is busy, or a connection broke: the same request may succeed in a moment.
_TRANSIENT = frozenset({408, 409, 423, 425, 429, 460, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
_HEADERS = {"Tus-Resumable": "1.0.0"}

OnBytes = Callable[[int], None]


class UploadFailed(Exception):
    """Its text is printed for a person."""


class UploadGone(Exception):
    """The service no longer has the upload: it expired or was refused."""


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


def run_preflight(client: httpx.Client, archive: Path) -> dict[str, Any]:
    """What the service would refuse, from the end of the ZIP alone.

    Raises UploadFailed, at once when no service answers.
    """
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
            return _checked(answer)
        needed = body["needed_bytes"]


def upload(
    client: httpx.Client,
    archive: Path,
    *,
    sha256: str,
    fields: dict[str, str],
    records: Path,
    on_offset: Callable[[int, bool], None],
) -> dict[str, Any]:
    """Sends `archive`, or the rest of it, and returns the job that it became.

    `records` is a folder with one file for each unfinished upload: the same bytes for the same service with the same
    `fields` are resumed. `on_offset(offset, resumed)` gets the number of bytes that the service has stored.
    Raises UploadFailed.
    """
    record = records / f"{_identity(client, sha256, fields)}.json"
    metadata = {"filename": archive.name, "sha256": sha256, **fields}
    resumed = record.exists()
    for _ in range(2):
        path = _recorded_path(record) or _create(client, archive.stat().st_size, metadata, record)
        try:
            with archive.open("rb") as file:
                for offset in _send(client, path, file.fileno(), archive.stat().st_size):
                    on_offset(offset, resumed)
                    resumed = False
            job = _wait_for_job(client, path)
        except UploadGone:
            record.unlink(missing_ok=True)
            continue
        record.unlink(missing_ok=True)
        if job["source"]["sha256"] != sha256:
            raise UploadFailed(
                f"The service stored sha256 {job['source']['sha256']}; the file has {sha256}. Upload it again."
            )
        return job
    raise UploadFailed("The service dropped the upload twice. Try again later.")


def _create(client: httpx.Client, length: int, metadata: dict[str, str], record: Path) -> str:
    headers = {**_HEADERS, "Upload-Length": str(length), "Idempotency-Key": os.urandom(16).hex()}
    encoded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    answer = _retrying(lambda: client.post("/uploads", headers={**headers, "Upload-Metadata": encoded}))
    path = f"/uploads/{_checked(answer)['upload_id']}"
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".part")
    partial.write_text(json.dumps({"service": str(client.base_url), "path": path}))
    partial.replace(record)
    return path


def _send(client: httpx.Client, path: str, file: int, length: int) -> Iterator[int]:
    """Yields the offset of the service, at first and after each chunk. Raises UploadFailed, UploadGone."""
    offset, progress_at, failures = _offset(client, path), time.monotonic(), 0
    yield offset
    while offset < length:
        chunk = os.pread(file, min(CHUNK_BYTES, length - offset), offset)
        if not chunk:
            raise UploadFailed("The file became shorter while it was being sent.")
        try:
            answer = client.patch(path, content=chunk, headers=_chunk_headers(offset, chunk))
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == httpx.codes.NO_CONTENT:
            offset, progress_at, failures = int(answer.headers["upload-offset"]), time.monotonic(), 0
            yield offset
            continue
        if answer is not None and answer.status_code not in _TRANSIENT:
            _raise_refusal(answer)
        if time.monotonic() - progress_at > GIVE_UP_SECONDS:
            raise UploadFailed(
                f"No progress for {GIVE_UP_SECONDS:.0f} s. Run the same command again later to resume at byte {offset}."
            )
        time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1
        known = _offset(client, path)
        if known > offset:
            progress_at = time.monotonic()
        offset = known
        yield offset


def _chunk_headers(offset: int, chunk: bytes) -> dict[str, str]:
    return {
        **_HEADERS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(chunk).digest()).decode()}",
    }


def _offset(client: httpx.Client, path: str) -> int:
    answer = _retrying(lambda: client.head(path, headers=_HEADERS))
    if answer.is_error:
        _raise_refusal(answer)
    return int(answer.headers["upload-offset"])


def _wait_for_job(client: httpx.Client, path: str) -> dict[str, Any]:
    ends = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < ends:
        current = _checked(_retrying(lambda: client.get(path)))
        if current["state"] == "done":
            return _checked(_retrying(lambda: client.get(f"/jobs/{current['job_id']}")))  # noqa: B023 - called at once
        if current["state"] == "refused":
            raise UploadFailed(_in_words(current["problem"]))
        time.sleep(1.0)
    raise UploadFailed(
        f"The service has every byte, but has made no job of them in {GIVE_UP_SECONDS:.0f} s. Check GET {path} later."
    )


def _retrying(request: Callable[[], httpx.Response]) -> httpx.Response:
    """Repeats the request until the service answers. Raises UploadFailed after GIVE_UP_SECONDS."""
    ends, failures = time.monotonic() + GIVE_UP_SECONDS, 0
    while True:
        try:
            answer = request()
            if answer.status_code not in _TRANSIENT:
                return answer
            reason = f"status {answer.status_code}"
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        if time.monotonic() > ends:
            raise UploadFailed(f"The service does not answer: {reason}.")
        time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1


def _identity(client: httpx.Client, sha256: str, fields: dict[str, str]) -> str:
    """A digest of the bytes, the service and the options; name and times of the file do not count."""
    return hashlib.sha256(json.dumps([str(client.base_url), sha256, sorted(fields.items())]).encode()).hexdigest()


def _recorded_path(record: Path) -> str:
    try:
        return str(json.loads(record.read_text())["path"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""


def _raise_refusal(answer: httpx.Response) -> NoReturn:
    if answer.status_code in _GONE:
        raise UploadGone
    _checked(answer)
    raise UploadFailed(f"{answer.url} answered {answer.status_code}.")


def _checked(answer: httpx.Response) -> dict[str, Any]:
    body = _json(answer)
    if answer.is_error:
        raise UploadFailed(f"{answer.status_code}: {_in_words(body)}")
    return body


def _in_words(problem: dict[str, Any]) -> str:
    """Title and detail of a problem, then each invalid field that they do not describe."""
    detail = problem.get("detail", "")
    fields = [each for each in problem.get("errors") or () if each["message"] not in detail]
    listed = [f"{each['field']}: {each['message']}" for each in fields]
    return "\n".join([f"{problem.get('title', '')}. {detail}", *listed])


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = answer.json()
    except json.JSONDecodeError:
        raise UploadFailed(f"{answer.url} answered {answer.status_code} without JSON.") from None
    return body
