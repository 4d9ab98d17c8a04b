"""The weights of the model version that a run is fine-tuned from, in the attempt's own folder."""

from pathlib import Path

from core.db.tables import RunRow
from core.domain.errors import WeightsUnavailable
from core.services.models.fine_tuning import find_weights
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.free_space import require_free
from pipeline.process.specs import ModelSpec, ParentSpec
from worker.tasks.attempt import Attempt


def fetch_parent(attempt: Attempt[RunRow], run: RunRow, version_id: str) -> ModelSpec:
    """Raises WeightsUnavailable where the version or its object is gone or damaged, OutOfSpace, and as the store."""
    name, weights = str(run.params["model"]), find_weights(attempt.db, version_id)
    if weights is None:
        raise WeightsUnavailable(f"{name} was deleted.", model=name)
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(
        attempt.scratch, 2 * weights.bytes, reserve_bytes=reserve_bytes
    )  # the file, and what it is unpacked to
    path = attempt.scratch / f"parent{Path(weights.name).suffix}"
    try:
        stored = attempt.lease.run_in_thread(lambda: attempt.platform.store.fetch(weights.key, path))
    except ObjectMissing as error:
        raise WeightsUnavailable(f"The weights of {name} are missing from the object store.", model=name) from error
    except ObjectCorrupt as error:
        raise WeightsUnavailable(f"The weights of {name} are damaged in the object store.", model=name) from error
    if stored.sha256 != weights.sha256:
        raise WeightsUnavailable(f"The stored weights of {name} are not those that were published.", model=name)
    return ModelSpec(
        kind="weights",
        path_or_name=str(path),
        parent=ParentSpec(name=name, version_id=version_id, sha256=weights.sha256),
    )
