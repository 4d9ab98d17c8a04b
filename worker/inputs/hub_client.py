"""A Hugging Face hub over HTTP: what a dataset holds at one commit, and its files, bounded and checked.

Nothing is inflated or decoded here but the hub's own JSON; the files go to disk as they came.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import structlog

from core import clock
from core.domain.errors import HubSetNotFound, HubSetUnusable, HubUnavailable
from pipeline.hub.files import HubFile
from pipeline.params.hub_set import HubSet
from worker.threads import start_in_thread

COMMIT = re.compile(r"[0-9a-f]{40}")
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
PAUSES_SECONDS = (1.0, 5.0, 20.0)  # between tries; then the job fails, and can be retried
LISTING_BYTES = 64 * 1024**2  # of JSON; 200,000 files with their digests have 50 MB
_TICK_SECONDS = 0.1

Check = Callable[[], None]
Result = TypeVar("Result")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """A dataset's repository at one commit. `card`: what its README says of it for programs."""

    commit: str
    files: tuple[HubFile, ...]
    card: dict[str, Any]


class _NotYet(Exception):
    """Worth another try."""


def hub_client(endpoint: str) -> httpx.Client:
    """Goes where the hub redirects to (its storage), but never from https to http."""
    secure = endpoint.startswith("https://")

    def guard(request: httpx.Request) -> None:
        if secure and request.url.scheme != "https":
            raise httpx.UnsupportedProtocol("the hub redirects to an address without TLS")

    return httpx.Client(
        follow_redirects=True,
        max_redirects=5,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        headers={"accept-encoding": "identity"},  # bytes as they are: nothing is inflated here
        event_hooks={"request": [guard]},
    )


def list_set(client: httpx.Client, endpoint: str, asked: HubSet, *, ends: float, check: Check) -> Listing:
    """What `asked` is at its commit, or at its revision where none is known.

    `ends`: the monotonic second at which the patience ends. `check()` may raise to stop, and is asked at any time.
    Raises HubSetNotFound, HubSetUnusable, HubUnavailable.
    """
    check = _patient(ends, check)
    revision = asked.commit or asked.revision or "main"
    address = f"{endpoint.rstrip('/')}/api/datasets/{asked.repository}/revision/{quote(revision, safe='')}?blobs=true"
    listing = _retry_until_lost(lambda: _list(client, address, asked, revision, check), check)
    if asked.commit and listing.commit != asked.commit:
        raise HubUnavailable("The hub answers with another commit than it was asked for.", commit=listing.commit)
    return listing


def fetch(
    client: httpx.Client,
    endpoint: str,
    asked: HubSet,
    listing: Listing,
    file: HubFile,
    target: Path,
    *,
    limit_bytes: int,
    ends: float,
    check: Check,
    came: Callable[[int], None],
) -> int:
    """One file, whole and as the commit has it. Returns its size. `came` is told each piece, less what was in vain.

    `ends` and `check` as of `list_set`. Raises as it does, and OSError.
    """
    check = _patient(ends, check)
    path = f"/datasets/{asked.repository}/resolve/{listing.commit}/{quote(file.name)}"
    address = endpoint.rstrip("/") + path

    def once() -> int:
        size = 0

        def piece(count: int) -> None:
            nonlocal size
            size += count
            came(count)

        try:
            return _fetch(client, address, asked, file, target, limit_bytes, check, piece)
        except BaseException:
            came(-size)
            raise

    return _retry_until_lost(once, check)


def _patient(ends: float, check: Check) -> Check:
    def patient() -> None:
        check()
        if clock.monotonic() > ends:
            raise HubUnavailable("The hub is too slow: all that was to be fetched has not come in time.")

    return patient


def _retry_until_lost(work: Callable[[], Result], check: Check) -> Result:
    for pause in (*PAUSES_SECONDS, None):
        check()
        try:
            return _watched(work, check)
        except (httpx.HTTPError, _NotYet) as error:
            reason = str(error) or type(error).__name__
            if pause is None:
                raise HubUnavailable(f"The hub does not answer as it should: {reason[:200]}") from error
            log.warning("hub.again", reason=reason[:200], pause_seconds=pause)
            _pause(pause, check)
    raise AssertionError("the last try returns or raises")


def _watched(work: Callable[[], Result], check: Check) -> Result:
    """Do `work` in a thread, and ask `check` meanwhile.

    A name that is looked up, or headers that come a byte at a time, are one call that nothing else ends. The thread is
    left behind then: whoever is told closes the client, and with it the thread's connection.
    """
    future = start_in_thread(work, name="hub")
    while not wait_for([future], timeout=_TICK_SECONDS).done:
        check()
    return future.result()


def _pause(seconds: float, check: Check) -> None:
    ends = clock.monotonic() + seconds
    while (left := ends - clock.monotonic()) > 0:
        check()
        time.sleep(min(left, _TICK_SECONDS))


def _list(client: httpx.Client, address: str, asked: HubSet, revision: str, check: Check) -> Listing:
    content = bytearray()
    with client.stream("GET", address) as answer:
        _require_ok(answer, asked, revision)
        for piece in answer.iter_raw():
            check()
            content += piece
            if len(content) > LISTING_BYTES:
                raise HubSetUnusable("The list of its files is too long.", limit_bytes=LISTING_BYTES)
    try:
        told = json.loads(content)
        commit, siblings = str(told["sha"]), list(told["siblings"])
        files = tuple(_file(each) for each in siblings)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _NotYet("its answer is not that of a hub") from error
    if not COMMIT.fullmatch(commit):
        raise _NotYet("it names no commit")
    if told.get("gated") or told.get("private") or told.get("disabled"):
        raise _not_found(asked, "gated", "is open only to those who were let in; Darkroom has no account there")
    card = told.get("cardData")
    return Listing(commit, files, card if isinstance(card, dict) else {})


def _file(told: Any) -> HubFile:
    """Raises TypeError, KeyError and ValueError for what no hub says."""
    if not isinstance(told, dict):
        raise TypeError("a file is no object")
    lfs = told.get("lfs") if isinstance(told.get("lfs"), dict) else None
    size = told.get("size")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise ValueError("a size is no number of bytes")
    return HubFile(
        str(told["rfilename"]),
        size,
        str(lfs["sha256"]) if lfs else None,
        str(told["blobId"]) if not lfs and told.get("blobId") else None,
    )


def _fetch(
    client: httpx.Client,
    address: str,
    asked: HubSet,
    file: HubFile,
    target: Path,
    limit_bytes: int,
    check: Check,
    came: Callable[[int], None],
) -> int:
    size, sha256 = 0, hashlib.sha256()
    git = hashlib.sha1(f"blob {file.bytes}\0".encode(), usedforsecurity=False)  # how git names a file
    limit = limit_bytes if file.bytes is None else file.bytes
    with client.stream("GET", address) as answer, target.open("wb") as out:
        _require_ok(answer, asked, "")
        # As they come: pieces of a size of our own would wait for a slow hub, and nothing would be checked meanwhile.
        for piece in answer.iter_raw():
            check()
            size += len(piece)
            if size > limit and file.bytes is None:
                raise HubSetUnusable(f"{file.name} is larger than is taken.", reason="too-large", limit=limit_bytes)
            if size > limit:
                raise _NotYet(f"{file.name} is larger than it was said to be")
            out.write(piece)
            sha256.update(piece)
            git.update(piece)
            came(len(piece))
    if file.bytes not in (None, size):
        raise _NotYet(f"{file.name} came with {size} of {file.bytes} bytes")
    if (file.sha256 or sha256.hexdigest()) != sha256.hexdigest():
        raise _NotYet(f"{file.name} came damaged")
    if file.bytes is not None and (file.git_sha1 or git.hexdigest()) != git.hexdigest():
        raise _NotYet(f"{file.name} came damaged")
    return size


def _require_ok(answer: httpx.Response, asked: HubSet, revision: str) -> None:
    """Raises HubSetNotFound for what another try would not change, else httpx.HTTPStatusError."""
    code, status = answer.headers.get("x-error-code", ""), answer.status_code
    if code == "RevisionNotFound":
        raise _not_found(asked, "revision", f"has no revision {revision}")
    if code == "GatedRepo" or status == 403:
        raise _not_found(asked, "gated", "is open only to those who were let in; Darkroom has no account there")
    if status in (400, 401, 404, 410):  # the hub says 401 for what is not there, too
        raise _not_found(asked, "repository", "is not there, or not open to everybody")
    answer.raise_for_status()


def _not_found(asked: HubSet, reason: str, what: str) -> HubSetNotFound:
    detail = f"On the hub, the dataset {asked.repository} {what}."
    return HubSetNotFound(detail, repository=asked.repository, revision=asked.revision, reason=reason)
