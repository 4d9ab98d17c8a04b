"""A Hugging Face hub over HTTP: what a dataset holds at one commit, and its files, bounded and checked.

Nothing is inflated or decoded here but the hub's own JSON; the files go to disk as they came.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import structlog

from core.domain.errors import HubSetNotFound, HubSetUnusable, HubTokenRefused, HubUnavailable
from pipeline.hub.files import HubFile
from pipeline.params.hub_set import HubSet
from worker.inputs.interruptible import Check, Result, interruptible, pause, until

COMMIT = re.compile(r"[0-9a-f]{40}")
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
PAUSES_SECONDS = (1.0, 5.0, 20.0)  # between tries; then the job fails, and can be retried
LISTING_BYTES = 64 * 1024**2  # of JSON; 200,000 files with their digests have 50 MB

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """A dataset's repository at one commit. `card`: the metadata in the front matter of its README."""

    commit: str
    files: tuple[HubFile, ...]
    card: dict[str, Any]


class _Transient(Exception):
    """A failure that a retry may cure."""


def hub_client(endpoint: str, *, token: str = "") -> httpx.Client:
    """Goes where the hub redirects to (its storage), but never from https to http, and takes the token nowhere else."""
    secure = endpoint.startswith("https://")

    def guard(request: httpx.Request) -> None:
        if secure and request.url.scheme != "https":
            raise httpx.UnsupportedProtocol("the hub redirects to an address without TLS")

    return httpx.Client(
        follow_redirects=True,
        max_redirects=5,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        # Bytes as they are: nothing is inflated here. A redirect to another host drops `authorization`.
        headers={"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {}),
        event_hooks={"request": [guard]},
    )


def list_set(client: httpx.Client, endpoint: str, hub_set: HubSet, *, ends: float, check: Check) -> Listing:
    """The files of `hub_set` at its commit, or at its revision where no commit is known yet.

    `ends`: the monotonic second of the deadline. `check()` is called repeatedly, and may raise to stop.
    Raises HubSetNotFound, HubSetUnusable, HubUnavailable.
    """
    check = until(ends, check, _too_slow)
    revision = hub_set.commit or hub_set.revision or "main"
    address = f"{endpoint.rstrip('/')}/api/datasets/{hub_set.repository}/revision/{quote(revision, safe='')}?blobs=true"
    listing = _retry(lambda: _list(client, address, hub_set, revision, check), check)
    if hub_set.commit and listing.commit != hub_set.commit:
        raise HubUnavailable("The hub answers with another commit than was requested.", commit=listing.commit)
    return listing


def fetch(
    client: httpx.Client,
    endpoint: str,
    hub_set: HubSet,
    listing: Listing,
    file: HubFile,
    target: Path,
    *,
    limit_bytes: int,
    ends: float,
    check: Check,
    came: Callable[[int], None],
) -> int:
    """Fetch one file, whole and as the commit has it. Returns its size.

    `came` gets the size of each piece, and after a failed try minus their sum.

    `ends` and `check` as of `list_set`. Raises as it does, and OSError.
    """
    check = until(ends, check, _too_slow)
    path = f"/datasets/{hub_set.repository}/resolve/{listing.commit}/{quote(file.name)}"
    address = endpoint.rstrip("/") + path

    def once() -> int:
        size = 0

        def piece(count: int) -> None:
            nonlocal size
            size += count
            came(count)

        try:
            return _fetch(client, address, hub_set, file, target, limit_bytes, check, piece)
        except BaseException:
            came(-size)
            raise

    return _retry(once, check)


def _too_slow() -> HubUnavailable:
    return HubUnavailable("The hub is too slow: the files were not fetched in time.")


def _retry(work: Callable[[], Result], check: Check) -> Result:
    for seconds in (*PAUSES_SECONDS, None):
        check()
        try:
            return interruptible(work, check, name="hub")
        except (httpx.HTTPError, _Transient) as error:
            reason = str(error) or type(error).__name__
            if seconds is None:
                raise HubUnavailable(f"The hub does not answer correctly: {reason[:200]}") from error
            log.warning("hub.retried", reason=reason[:200], pause_seconds=seconds)
            pause(seconds, check)
    raise AssertionError("the last try returns or raises")


def _list(client: httpx.Client, address: str, hub_set: HubSet, revision: str, check: Check) -> Listing:
    content = bytearray()
    with client.stream("GET", address) as answer:
        _require_ok(answer, hub_set, revision)
        with_token = _has_token(answer)
        for piece in answer.iter_raw():
            check()
            content += piece
            if len(content) > LISTING_BYTES:
                raise HubSetUnusable("The list of its files is too long.", limit_bytes=LISTING_BYTES)
    try:
        answer_json = json.loads(content)
        commit, siblings = str(answer_json["sha"]), list(answer_json["siblings"])
        files = tuple(_file(each) for each in siblings)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Transient("its answer is malformed") from error
    if not COMMIT.fullmatch(commit):
        raise _Transient("it names no commit")
    closed = answer_json.get("gated") or answer_json.get("private")  # with a token, each file shows whether it opens
    if answer_json.get("disabled") or (closed and not with_token):
        raise _gated(hub_set, with_token=with_token)
    card = answer_json.get("cardData")
    return Listing(commit, files, card if isinstance(card, dict) else {})


def _file(entry: Any) -> HubFile:
    """Raises TypeError, KeyError and ValueError for a malformed entry."""
    if not isinstance(entry, dict):
        raise TypeError("a file is not an object")
    lfs = entry.get("lfs") if isinstance(entry.get("lfs"), dict) else None
    size = entry.get("size")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise ValueError("a size is not a number of bytes")
    return HubFile(
        str(entry["rfilename"]),
        size,
        str(lfs["sha256"]) if lfs else None,
        str(entry["blobId"]) if not lfs and entry.get("blobId") else None,
    )


def _fetch(
    client: httpx.Client,
    address: str,
    hub_set: HubSet,
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
        _require_ok(answer, hub_set, "")
        # Pieces as they arrive: pieces of a fixed size would wait for a slow hub, with no check meanwhile.
        for piece in answer.iter_raw():
            check()
            size += len(piece)
            if size > limit and file.bytes is None:
                raise HubSetUnusable(f"{file.name} exceeds the size limit.", reason="too-large", limit=limit_bytes)
            if size > limit:
                raise _Transient(f"{file.name} is larger than the hub lists it")
            out.write(piece)
            sha256.update(piece)
            git.update(piece)
            came(len(piece))
    if file.bytes not in (None, size):
        raise _Transient(f"{file.name} came with {size} of {file.bytes} bytes")
    if (file.sha256 or sha256.hexdigest()) != sha256.hexdigest():
        raise _Transient(f"{file.name} came damaged")
    if file.bytes is not None and (file.git_sha1 or git.hexdigest()) != git.hexdigest():
        raise _Transient(f"{file.name} came damaged")
    return size


def _require_ok(answer: httpx.Response, hub_set: HubSet, revision: str) -> None:
    """Raises HubSetNotFound where a retry would not help, else httpx.HTTPStatusError."""
    code, status = answer.headers.get("x-error-code", ""), answer.status_code
    if code == "RevisionNotFound":
        raise _not_found(hub_set, "revision", f"has no revision {revision}")
    if code == "GatedRepo" or status == 403:
        raise _gated(hub_set, with_token=_has_token(answer))
    if status == 401 and _has_token(answer):
        detail = "The hub does not accept DARKROOM_HUB_TOKEN: it is mistyped, expired or revoked."
        raise HubTokenRefused(detail, setting="DARKROOM_HUB_TOKEN")
    if status in (400, 401, 404, 410):  # 401: also for a repository that does not exist
        raise _not_found(hub_set, "repository", "does not exist, or is not public")
    answer.raise_for_status()


def _not_found(hub_set: HubSet, reason: str, what: str) -> HubSetNotFound:
    detail = f"On the hub, the dataset {hub_set.repository} {what}."
    return HubSetNotFound(detail, repository=hub_set.repository, revision=hub_set.revision, reason=reason)


def _gated(hub_set: HubSet, *, with_token: bool) -> HubSetNotFound:
    what = "is gated or private: its operator can set DARKROOM_HUB_TOKEN to the token of an account that has access"
    if with_token:
        what = "is not open to the account of DARKROOM_HUB_TOKEN, which has to be granted access on the hub"
    return _not_found(hub_set, "gated", what)


def _has_token(answer: httpx.Response) -> bool:
    return "authorization" in answer.request.headers
