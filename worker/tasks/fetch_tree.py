"""A prepared dataset, as a private tree on this machine."""

from functools import partial
from pathlib import Path
from typing import Any

from core.domain.errors import TrainingFailed
from core.services.jobs.lifecycle import find_prepared_set
from core.storage import ObjectCorrupt, ObjectMissing
from worker.inputs.dataset_cache import cached_tree, make_room, private_tree
from worker.inputs.scratch import scratch_name
from worker.tasks.attempt import Attempt


def fetch_tree(attempt: Attempt[Any], fingerprint: str) -> Path:
    """A tree of the attempt's own, kept until its folders are left. Raises TrainingFailed, and as the store."""
    settings, lease = attempt.platform.settings, attempt.lease
    tree = attempt.folders.enter_context(
        cached_tree(
            settings.cache,
            fingerprint,
            fetch=partial(_fetch_tar, attempt, fingerprint),
            check=lease.raise_if_stopped,
            pause=lease.pause,
            max_bytes=settings.cache_max_bytes,
        )
    )
    private = private_tree(settings.cache, tree, scratch_name(attempt.claim), check=lease.raise_if_stopped)
    return attempt.folders.enter_context(private)


def _fetch_tar(attempt: Attempt[Any], fingerprint: str, target: Path) -> None:
    prepared = find_prepared_set(attempt.db, fingerprint)
    if prepared is None:
        raise TrainingFailed("The prepared dataset was deleted.", fingerprint=fingerprint)
    settings = attempt.platform.settings
    # The tar, and the tree that is unpacked from it.
    make_room(settings.cache, 2 * prepared.bytes, reserve_bytes=settings.disk_reserve_bytes // 2)
    try:
        stored = attempt.lease.run_in_thread(lambda: attempt.platform.store.lend(prepared.key, target))
    except ObjectMissing as error:
        raise TrainingFailed("The prepared dataset is missing from the object store.", key=prepared.key) from error
    except ObjectCorrupt as error:
        raise TrainingFailed("The prepared dataset is damaged in the object store.", key=prepared.key) from error
    if stored.sha256 != prepared.sha256:
        raise TrainingFailed("The stored dataset is not the one that was prepared.", key=prepared.key)
