"""What operations on a version work on, in the attempt's own folder: stored objects, compared with their digests."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from core.db.tables import ArtifactRow, OperationRow
from core.domain.errors import OperationFailed, TrainingFailed
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.free_space import require_free
from worker.tasks.attempt import Attempt
from worker.tasks.fetch_tree import fetch_tree


def fetch_object(
    attempt: Attempt[OperationRow], key: str, target: Path, *, sha256: str, called: str, is_lent: bool = False
) -> Path:
    """`called`: the object in a sentence, such as `the uploaded model`. `is_lent`: the file is only read.

    Raises OperationFailed, and as the store.
    """
    store = attempt.platform.store
    try:
        stored = attempt.lease.run_in_thread(partial(store.lend if is_lent else store.fetch, key, target))
    except ObjectMissing as error:
        raise OperationFailed(f"The object store has lost {called}.", key=key) from error
    except ObjectCorrupt as error:
        raise OperationFailed(f"In the object store, {called} is damaged.", key=key) from error
    if stored.sha256 != sha256:
        raise OperationFailed(f"In the object store, {called} is not what was stored.", key=key)
    return target


def fetch_artifacts(
    attempt: Attempt[OperationRow], artifacts: Sequence[ArtifactRow], folder: Path, *, room_times: int = 1
) -> Path:
    """A folder of them, on a disk with `room_times` of their size free. Raises OutOfSpace, OperationFailed."""
    needed = room_times * sum(artifact.bytes for artifact in artifacts)
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, needed, reserve_bytes=reserve_bytes)
    folder.mkdir()
    for artifact in artifacts:
        target, called = folder / artifact.name, f"the artifact {artifact.name} of the version"
        fetch_object(attempt, artifact.key, target, sha256=artifact.sha256, called=called)
    return folder


def fetch_dataset(attempt: Attempt[OperationRow], fingerprint: str) -> Path:
    """As `fetch_tree`, for an operation. Raises OperationFailed."""
    try:
        return fetch_tree(attempt, fingerprint)
    except TrainingFailed as error:
        raise OperationFailed(error.detail, **error.facts) from error
