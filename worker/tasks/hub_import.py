"""An import's source: files of a hub's dataset at one commit -> a ZIP, stored as what the job is made of.

resolve -> pin -> fetch (bytes only, here) -> convert (in a child process) -> keep.
"""

import shutil
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from core import clock
from core.db.tables import JobRow
from core.domain.errors import HubOff, HubSetUnusable, OutOfSpace, Unavailable
from core.domain.keys import imported_key
from core.services.jobs.hub_import import pin_import
from core.services.work.leases import Claim, report_progress
from core.settings import MIB
from pipeline.hub.files import IMPORTED_FILE, HubFile, Wanted, names_of_card, wanted_files
from pipeline.params.hub_set import HubSet
from worker.context import Worker
from worker.inputs.hub_client import Listing, fetch, hub_client, list_set
from worker.supervision.lease_keeper import LeaseKeeper
from worker.supervision.run_command import PROGRESS_SECONDS, in_child
from worker.tasks.store_source import keep_made

WHOLE_SECONDS = 2 * 3600.0  # for the list and all files; 20 GiB in it are 3 MB/s
SPARE_BYTES = 256 * MIB


def import_source(worker: Worker, lease: LeaseKeeper, claim: Claim, job: JobRow, scratch: Path) -> JobRow | None:
    """The job, which names the ZIP from here on. None: this attempt has ended otherwise.

    Raises HubOff, HubSetNotFound, HubSetUnusable, HubUnavailable, OutOfSpace.
    """
    settings, db = worker.platform.settings, worker.platform.db
    if not settings.hub:
        raise HubOff("The worker does not reach out to a hub (DARKROOM_HUB=false).")
    lease.retry_until_lost(lambda: report_progress(db, JobRow, claim, stage="importing", progress=None))
    asked = HubSet.model_validate(job.huggingface)
    ends = clock.monotonic() + WHOLE_SECONDS
    fetched = scratch / "hub"
    fetched.mkdir()
    with hub_client(settings.hub_endpoint) as client:
        listing = lease.run_in_thread(
            lambda: list_set(client, settings.hub_endpoint, asked, ends=ends, check=lease.raise_if_stopped)
        )
        job = lease.retry_until_lost(partial(pin_import, db, claim, job, commit=listing.commit))
        wanted = lease.run_in_thread(lambda: wanted_files(listing.files, listing.card, asked, lease.raise_if_stopped))
        _require_room([each.file for each in wanted], scratch, limit_bytes=settings.upload_max_bytes)
        take = partial(_fetch_all, worker, lease, claim, client, asked, listing, wanted, fetched, ends)
        files = lease.run_in_thread(take)
    spec = {
        "out": str(scratch / "import"),
        "files": files,
        "image_column": asked.image_column,
        "label_column": asked.label_column,
        "class_names": names_of_card(listing.card, asked.subset),
        "max_bytes": settings.upload_max_bytes,
    }
    result = in_child(worker, lease, claim, "import", scratch / "import", spec)
    shutil.rmtree(fetched)
    if result is None:
        return None
    job = lease.retry_until_lost(
        partial(pin_import, db, claim, job, images=result["images"], left_out=result["left_out"])
    )
    key = imported_key(claim.id, claim.attempt)
    return keep_made(worker, lease, claim, scratch / "import" / IMPORTED_FILE, key=key, name=job.source_name)


def _require_room(files: list[HubFile], scratch: Path, *, limit_bytes: int) -> None:
    """Raises HubSetUnusable above the limit, OutOfSpace without room for the files and the ZIP of them."""
    size = sum(file.bytes or 0 for file in files)
    if size > limit_bytes:
        detail = f"Its files have {size} bytes; at most {limit_bytes} are taken."
        raise HubSetUnusable(detail, reason="too-large", bytes=size, limit=limit_bytes)
    needed, free = 2 * size + SPARE_BYTES, shutil.disk_usage(scratch).free
    if free < needed:
        detail = f"{needed} bytes are needed for the import, {free} are free."
        raise OutOfSpace(detail, needed_bytes=needed, free_bytes=free)


def _fetch_all(
    worker: Worker,
    lease: LeaseKeeper,
    claim: Claim,
    client: httpx.Client,
    asked: HubSet,
    listing: Listing,
    wanted: list[Wanted],
    folder: Path,
    ends: float,
) -> list[dict[str, str]]:
    """Stores each file under a number, never under its name on the hub. Ends when the lease does."""
    settings = worker.platform.settings
    left = settings.upload_max_bytes
    told = _Told(worker, claim, total=sum(each.file.bytes or 0 for each in wanted))
    files: list[dict[str, str]] = []
    for number, each in enumerate(wanted):
        target = folder / f"{number:06d}{PurePosixPath(each.file.name).suffix.lower()}"
        left -= fetch(
            client,
            settings.hub_endpoint,
            asked,
            listing,
            each.file,
            target,
            limit_bytes=left,
            ends=ends,
            check=lease.raise_if_stopped,
            came=told.add,
        )
        files.append({"split": each.split, "name": each.file.name, "path": str(target)})
    return files


class _Told:
    """Bytes that came, told at most once a second. Lost where the database does not answer: the next one comes."""

    def __init__(self, worker: Worker, claim: Claim, *, total: int) -> None:
        self._worker = worker
        self._claim = claim
        self._total = total
        self._done = 0
        self._told_at = float("-inf")

    def add(self, count: int) -> None:
        self._done += count
        now = clock.monotonic()
        if now - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = now
        progress: dict[str, Any] = {"done": self._done, "total": max(self._done, self._total)}
        try:
            report_progress(self._worker.platform.db, JobRow, self._claim, progress=progress)
        except Unavailable:
            return
