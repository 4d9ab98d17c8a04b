"""The source of an import: from a URL, a bucket or a folder, a ZIP as it is there or one of all files below a prefix.

check that it is allowed -> read (bytes only: nothing is decoded here) -> store.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core import clock
from core.db.tables import JobRow
from core.domain.errors import DatasetRejected, ImportUnavailable, ImportUnusable, StoreRefused, Unavailable
from core.domain.import_places import absolute_folder, bucket_prefix
from core.domain.keys import imported_key
from core.services.jobs.origin_import import pin_origin
from core.services.uploads.room import UploadRoom
from core.storage.transfer import sha256_of
from http_common.import_rules import allowed_folder, networks_for, refuse_own, require_allowed, require_host
from pipeline.archive.extract import is_hidden
from pipeline.params.import_origin import ImportOrigin
from worker.inputs.folder_files import AllowedFolder
from worker.inputs.interruptible import Check, pause, until
from worker.inputs.stored_zip import StoredZip, require_bytes, require_entries
from worker.inputs.zip_url import PAUSES_SECONDS, fetch_zip
from worker.tasks.attempt import Attempt
from worker.tasks.bytes_reporter import BytesReporter
from worker.tasks.made_sources import copy_source, draw_sample
from worker.tasks.store_source import store_source

if TYPE_CHECKING:
    from core.storage.s3_bucket import Bucket, BucketObject

WHOLE_SECONDS = 2 * 3600.0  # for all files: 20 GiB need 3 MB/s
ZIP = ".zip"


class _File(NamedTuple):
    name: str  # of the entry
    size: int
    blocks: Callable[[], Iterator[bytes]]
    etag: str | None = None


def import_from_origin(attempt: Attempt[JobRow], job: JobRow) -> JobRow | None:
    """The job, which now names the ZIP. None: the job has been given back.

    Raises ImportNotAllowed, ImportUnusable, ImportUnavailable, PreparationFailed, OutOfSpace.
    """
    origin = ImportOrigin.model_validate(job.imported_from)
    require_allowed(attempt.platform.settings, origin)
    attempt.report_surely(stage="importing", progress=None)
    if origin.kind == "dataset":
        return copy_source(attempt, job, origin)
    if origin.kind == "sample":
        return draw_sample(attempt, job)
    target = attempt.scratch / "imported.zip"
    take = {"url": _from_url, "s3": _from_bucket, "folder": _from_folder}[origin.kind]
    try:
        found = take(attempt, origin, target)
    except DatasetRejected:  # the job ends, and needs the query no more
        attempt.lease.retry_until_lost(partial(pin_origin, attempt.db, attempt.claim, origin.displayed()))
        raise
    key = imported_key(attempt.claim.id, attempt.claim.attempt)
    return store_source(attempt, target, key=key, name=job.source_name, imported_from=found.displayed())


def _from_url(attempt: Attempt[JobRow], origin: ImportOrigin, target: Path) -> ImportOrigin:
    settings = attempt.platform.settings
    fetched = fetch_zip(
        origin.url,
        target,
        require_host=partial(require_host, settings),
        networks_for=partial(networks_for, settings),
        limit_bytes=settings.upload_max_bytes,
        room=UploadRoom(attempt.platform).for_body,
        ends=clock.monotonic() + WHOLE_SECONDS,
        check=attempt.lease.raise_if_stopped,
        came=BytesReporter(attempt).at,
    )
    if origin.sha256 not in (None, fetched.sha256):
        detail = f"The file has the sha256 {fetched.sha256}; the request expects {origin.sha256}."
        raise ImportUnusable(detail, reason="sha256", sha256=fetched.sha256)
    return _found(origin, sha256=fetched.sha256, etag=fetched.etag, files=1, bytes=fetched.bytes)


def _from_bucket(attempt: Attempt[JobRow], origin: ImportOrigin, target: Path) -> ImportOrigin:
    from core.storage.s3_bucket import open_bucket  # boto3 takes 0.3 s and 50 MB to import

    wanted = bucket_prefix(origin.location)
    bucket = open_bucket(attempt.platform.settings, wanted.bucket)
    check = _patient(attempt)

    def take() -> ImportOrigin:
        files = (
            _File(name, listed.bytes, partial(_blocks_of, bucket, listed, check), listed.etag.strip('"'))
            for name, listed in _listed(bucket, wanted.prefix, check)
        )
        return _zipped(attempt, origin, _bounded(files), target)

    try:
        return attempt.lease.run_in_thread(take)
    except StoreRefused as error:
        cause = error.facts.get("cause")
        if cause in ("NoSuchBucket", "InvalidBucketName"):
            raise ImportUnusable(f"There is no bucket {wanted.bucket}.", reason="bucket") from error
        detail = f"The bucket {wanted.bucket} refuses the service: {cause}."
        raise ImportUnavailable(detail, cause=cause) from error


def _listed(bucket: "Bucket", prefix: str, check: Check) -> Iterator[tuple[str, "BucketObject"]]:
    """(name below the prefix, object): the object of this name alone where it is a ZIP, else those below it."""
    if prefix.lower().endswith(ZIP):
        first = next(_naming_failures(bucket.list(prefix)), None)
        if first is not None and first.key == prefix:
            yield prefix.rpartition("/")[2], first
            return
    below = f"{prefix}/" if prefix else ""
    for listed in _naming_failures(bucket.list(below)):
        check()
        name = listed.key[len(below) :]
        if name and not name.endswith("/") and not is_hidden(name):  # a slash at the end: a folder, as consoles make it
            yield name, listed


def _naming_failures(listing: "Iterator[BucketObject]") -> "Iterator[BucketObject]":
    """Raises ImportUnavailable where the bucket does not answer, StoreRefused."""
    try:
        yield from listing
    except StoreRefused:
        raise
    except Unavailable as error:
        raise ImportUnavailable(f"The bucket does not answer: {error.facts.get('cause')}.") from error


def _blocks_of(bucket: "Bucket", listed: "BucketObject", check: Check) -> Iterator[bytes]:
    """Continued where the store breaks off."""
    from core.storage.s3_bucket import ObjectChanged

    done = failures = 0
    while True:
        before, reason = done, "it broke off"
        try:
            with closing(bucket.open(listed, start=done)) as blocks:
                for block in blocks:
                    check()
                    done += len(block)
                    yield block
            if done >= listed.bytes:
                return
        except StoreRefused:
            raise
        except ObjectChanged as error:
            raise ImportUnavailable(f"{listed.key[:300]} changed while it was imported.") from error
        except Unavailable as error:
            reason = str(error.facts.get("cause"))
        failures = 0 if done > before else failures + 1
        if failures > len(PAUSES_SECONDS):
            raise ImportUnavailable(f"The bucket does not send {listed.key[:300]}: {reason}.")
        pause(PAUSES_SECONDS[max(0, failures - 1)], check)


def _from_folder(attempt: Attempt[JobRow], origin: ImportOrigin, target: Path) -> ImportOrigin:
    settings = attempt.platform.settings
    wanted = absolute_folder(origin.location)
    check = _patient(attempt)

    def take() -> ImportOrigin:
        with AllowedFolder(allowed_folder(settings, wanted), partial(refuse_own, settings)) as folder:
            listed = folder.files(wanted, check)
            files = (_File(each.name, each.bytes, partial(folder.read, each, check)) for each in listed)
            return _zipped(attempt, origin, _bounded(files), target)

    return attempt.lease.run_in_thread(take)


def _bounded(files: Iterator[_File]) -> list[_File]:
    """Raises ImportUnusable for more than are accepted."""
    found: list[_File] = []
    for each in files:
        found.append(each)
        require_entries(len(found))
    return found


def _zipped(attempt: Attempt[JobRow], origin: ImportOrigin, files: Sequence[_File], target: Path) -> ImportOrigin:
    """A single ZIP as it is, else a ZIP of all files."""
    if not files:
        raise ImportUnusable(f"There are no files in {origin.location}.", reason="empty")
    total, limit = sum(each.size for each in files), attempt.platform.settings.upload_max_bytes
    require_bytes(total, limit_bytes=limit)
    only = files[0] if len(files) == 1 and files[0].name.lower().endswith(ZIP) else None
    reporter = BytesReporter(attempt, total=total)
    with closing(UploadRoom(attempt.platform).for_body(total)) as room:

        def counted(blocks: Iterator[bytes]) -> Iterator[bytes]:
            for block in blocks:
                room.take(len(block))
                reporter.add(len(block))
                yield block

        if only is not None:
            size = _copy(counted(only.blocks()), target, limit_bytes=limit)
            return _found(origin, sha256=sha256_of(target), etag=only.etag, files=1, bytes=size)
        with StoredZip(target, limit_bytes=limit) as archive:
            for each in files:
                archive.add(each.name, counted(each.blocks()))
            return _found(origin, files=archive.entries, bytes=archive.bytes)


def _copy(blocks: Iterator[bytes], target: Path, *, limit_bytes: int) -> int:
    size = 0
    with target.open("wb") as file:
        for block in blocks:
            size += len(block)
            require_bytes(size, limit_bytes=limit_bytes)
            file.write(block)
    return size


def _found(origin: ImportOrigin, **facts: str | int | None) -> ImportOrigin:
    return origin.model_copy(update=facts)


def _patient(attempt: Attempt[JobRow]) -> Check:
    late = partial(ImportUnavailable, "It takes too long: the files were not read in time.")
    return until(clock.monotonic() + WHOLE_SECONDS, attempt.lease.raise_if_stopped, late)
