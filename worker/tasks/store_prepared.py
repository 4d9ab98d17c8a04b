"""What a preparation stores: the prepared set, shared by its fingerprint, and the job's own images."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core import clock
from core.domain.errors import Unavailable
from core.domain.keys import dataset_key, plot_key, samples_key
from core.services.jobs.lifecycle import LIVE, PreparedSet, find_prepared_set
from core.services.work.leases import Claim
from core.storage import ObjectExists
from worker.context import Worker
from worker.supervision.lease_keeper import LeaseKeeper


def put_gallery(worker: Worker, lease: LeaseKeeper, claim: Claim, out: Path, gallery: Mapping[str, Any]) -> None:
    """The plots and the samples that the child drew. Named by no row: they live and go with the job's metadata."""
    put = worker.platform.store.put
    for name in gallery.get("plots", ()):
        key, path = plot_key(claim.id, claim.attempt, name), out / "plots" / f"{name}.png"
        lease.run_in_thread(partial(put, key, path, media_type="image/png"))
    if gallery.get("samples"):
        key = samples_key(claim.id, claim.attempt)
        lease.run_in_thread(partial(put, key, out / "samples.tar", media_type="application/x-tar"))


def put_set(worker: Worker, lease: LeaseKeeper, out: Path, result: Mapping[str, Any]) -> PreparedSet:
    """The prepared set's object, put unless a live row says that it is there. Raises Unavailable."""
    fingerprint, layout = result["fingerprint"], int(result["layout_version"])
    known = find_prepared_set(worker.platform.db, fingerprint)
    if known is not None and known.state == LIVE:
        return PreparedSet(fingerprint, known.layout_version, known.key, known.bytes, known.sha256)
    if result["tar"] is None:
        raise Unavailable("The same prepared dataset was there when this one began, and has been deleted since.")
    key, store = dataset_key(layout, fingerprint), worker.platform.store
    tar, media_type = out / "dataset.tar", "application/x-tar"
    try:
        put = lease.run_in_thread(lambda: store.put(key, tar, sha256=result["tar"]["sha256"], media_type=media_type))
    except ObjectExists:
        # Whole, of the same fingerprint, named by no row: a crash left it, packed a little differently.
        existing = store.head(key)
        if existing is None:
            raise Unavailable("The prepared dataset's object has just been deleted.") from None
        put = existing
    return PreparedSet(fingerprint, layout, key, put.bytes, put.sha256)


def wait_until_deleted(worker: Worker, lease: LeaseKeeper, fingerprint: str, *, ends: float) -> bool:
    """False: the time ran out."""
    while clock.monotonic() < ends:
        lease.raise_if_stopped()
        known = find_prepared_set(worker.platform.db, fingerprint)
        if known is None or known.state == LIVE:
            return True
        lease.pause(0.25)
    return False
