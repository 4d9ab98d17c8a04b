"""The source of an import: files of a hub's dataset at one commit -> a ZIP, stored as the source of the job.

resolve -> pin -> fetch (bytes only, here) -> convert (in a child process) -> store.
"""

import shutil
from functools import partial
from pathlib import Path, PurePosixPath

import httpx

from core import clock
from core.db.tables import JobRow
from core.domain.errors import HubOff, HubSetUnusable
from core.domain.keys import imported_key
from core.services.jobs.hub_import import pin_import
from core.settings import Settings
from core.storage.free_space import require_free
from pipeline.hub.files import IMPORTED_FILE, HubFile, SplitFile, names_of_card, select_files
from pipeline.params.hub_set import HubSet
from pipeline.process.results import ImportedArchive
from pipeline.process.specs import FetchedFile, ImportSpec
from worker.inputs.hub_client import Listing, fetch, hub_client, list_set
from worker.tasks.attempt import Attempt
from worker.tasks.bytes_reporter import BytesReporter
from worker.tasks.run_command import in_child
from worker.tasks.store_source import store_source

WHOLE_SECONDS = 2 * 3600.0  # for the list and all files: 20 GiB need 3 MB/s


def import_source(attempt: Attempt[JobRow], job: JobRow) -> JobRow | None:
    """The job, which now names the ZIP. None: the job has been rejected or given back.

    Raises HubOff, HubSetNotFound, HubSetUnusable, HubTokenRefused, HubUnavailable, OutOfSpace.
    """
    settings, db, claim, lease = attempt.platform.settings, attempt.db, attempt.claim, attempt.lease
    if not settings.hub:
        raise HubOff("The worker does not reach out to a hub (DARKROOM_HUB=false).")
    attempt.report_surely(stage="importing", progress=None)
    hub_set = HubSet.model_validate(job.huggingface)
    ends = clock.monotonic() + WHOLE_SECONDS
    fetched = attempt.scratch / "hub"
    fetched.mkdir()
    with hub_client(settings.hub_endpoint, token=settings.hub_token.get_secret_value()) as client:
        listing = lease.run_in_thread(
            lambda: list_set(client, settings.hub_endpoint, hub_set, ends=ends, check=lease.raise_if_stopped)
        )
        job = lease.retry_until_lost(partial(pin_import, db, claim, job, commit=listing.commit))
        wanted = lease.run_in_thread(lambda: select_files(listing.files, listing.card, hub_set, lease.raise_if_stopped))
        _require_room([each.file for each in wanted], attempt.scratch, settings)
        take = partial(_fetch_all, attempt, client, hub_set, listing, wanted, fetched, ends)
        files = lease.run_in_thread(take)
    spec = ImportSpec(
        out=attempt.scratch / "import",
        files=files,
        image_column=hub_set.image_column,
        label_column=hub_set.label_column,
        class_names=names_of_card(listing.card, hub_set.subset),
        max_bytes=settings.upload_max_bytes,
    )
    imported = in_child(attempt, spec, ImportedArchive)
    shutil.rmtree(fetched)
    if imported is None:
        return None
    job = lease.retry_until_lost(
        partial(pin_import, db, claim, job, images=imported.images, left_out=imported.left_out)
    )
    key = imported_key(claim.id, claim.attempt)
    return store_source(attempt, spec.out / IMPORTED_FILE, key=key, name=job.source_name)


def _require_room(files: list[HubFile], scratch: Path, settings: Settings) -> None:
    """Raises HubSetUnusable above the limit, OutOfSpace without room for the files and the ZIP of them."""
    size, limit = sum(file.bytes or 0 for file in files), settings.upload_max_bytes
    if size > limit:
        detail = f"Its files have {size} bytes and exceed the limit of {limit} bytes."
        raise HubSetUnusable(detail, reason="too-large", bytes=size, limit=limit)
    require_free(scratch, 2 * size, reserve_bytes=settings.disk_reserve_bytes)


def _fetch_all(
    attempt: Attempt[JobRow],
    client: httpx.Client,
    hub_set: HubSet,
    listing: Listing,
    wanted: list[SplitFile],
    folder: Path,
    ends: float,
) -> tuple[FetchedFile, ...]:
    """Stores each file under a number, never under its name on the hub. Ends when the lease does."""
    settings = attempt.platform.settings
    left = settings.upload_max_bytes
    reporter = BytesReporter(attempt, total=sum(each.file.bytes or 0 for each in wanted))
    files: list[FetchedFile] = []
    for number, each in enumerate(wanted):
        target = folder / f"{number:06d}{PurePosixPath(each.file.name).suffix.lower()}"
        left -= fetch(
            client,
            settings.hub_endpoint,
            hub_set,
            listing,
            each.file,
            target,
            limit_bytes=left,
            ends=ends,
            check=attempt.lease.raise_if_stopped,
            came=reporter.add,
        )
        files.append(FetchedFile(each.split, each.file.name, target))
    return tuple(files)
