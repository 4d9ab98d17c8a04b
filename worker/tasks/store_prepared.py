"""What a preparation stores: the prepared set, shared by its fingerprint, and the job's own images."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from core import clock
from core.db.tables import JobRow
from core.domain.errors import PreparationFailed, Unavailable
from core.domain.keys import dataset_key, image_index_key, plot_key, samples_key
from core.services.jobs.lifecycle import LIVE, PreparedSet, find_prepared_set
from core.storage import ObjectExists
from pipeline.index.schema import INDEX_FILE
from pipeline.layouts import TAR_FILE
from pipeline.process.results import METADATA_FILE, Gallery, Prepared, write_last
from worker.tasks.attempt import Attempt


def add_source(out: Path, source: dict[str, Any]) -> None:
    """Into the metadata of a set whose archive was made by the same child, and is known once it is stored."""
    file = out / METADATA_FILE
    metadata = json.loads(file.read_bytes())
    write_last(file, json.dumps({**metadata, "source": source}, ensure_ascii=False, indent=1))


def put_gallery(attempt: Attempt[JobRow], out: Path, gallery: Gallery) -> None:
    """The plots and the samples that the child drew. No row names them: they are kept and deleted with the metadata."""
    claim, lease, put = attempt.claim, attempt.lease, attempt.platform.store.put
    for name in gallery.plots:
        key, path = plot_key(claim.id, claim.attempt, name), out / "plots" / f"{name}.png"
        lease.run_in_thread(partial(put, key, path, media_type="image/png"))
    if gallery.samples:
        key = samples_key(claim.id, claim.attempt)
        lease.run_in_thread(partial(put, key, out / "samples.tar", media_type="application/x-tar"))


def put_set(attempt: Attempt[JobRow], out: Path, result: Prepared) -> PreparedSet:
    """The prepared set's object, stored unless a live row names it already. Raises Unavailable."""
    fingerprint, layout = result.fingerprint, result.layout_version
    known = find_prepared_set(attempt.db, fingerprint)
    if known is not None and known.state == LIVE:
        return PreparedSet(fingerprint, known.layout_version, known.key, known.bytes, known.sha256)
    if result.tar_bytes is None:
        raise Unavailable("The prepared dataset that was to be reused has been deleted meanwhile.")
    key, store = dataset_key(layout, fingerprint), attempt.platform.store
    try:
        put = attempt.lease.run_in_thread(lambda: store.take(key, out / TAR_FILE, media_type="application/x-tar"))
    except ObjectExists:
        # Complete, of the same fingerprint, and named by no row: left by a crash, packed a little differently.
        existing = store.head(key)
        if existing is None:
            raise Unavailable("The prepared dataset's object has just been deleted.") from None
        # Without the index, which would name places in another tar.
        return PreparedSet(fingerprint, layout, key, existing.bytes, existing.sha256)
    if put.bytes != result.tar_bytes:
        raise PreparationFailed("The prepared tar is not as long as it was written.", key=key)
    index_key = image_index_key(layout, fingerprint, f"{attempt.claim.id}-{attempt.claim.attempt}")
    index = attempt.lease.run_in_thread(
        lambda: store.take(index_key, out / INDEX_FILE, media_type="application/vnd.sqlite3")
    )
    return PreparedSet(fingerprint, layout, key, put.bytes, put.sha256, index.key, index.bytes)


def wait_until_deleted(attempt: Attempt[JobRow], fingerprint: str, *, ends: float) -> bool:
    """Whether the set can be stored again. False: it was still being deleted at `ends`."""
    while clock.monotonic() < ends:
        attempt.lease.raise_if_stopped()
        known = find_prepared_set(attempt.db, fingerprint)
        if known is None or known.state == LIVE:
            return True
        attempt.lease.pause(0.25)
    return False
