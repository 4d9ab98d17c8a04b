"""Whether a training would learn from images of the frozen test set: computed once for each dataset and test set."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from api.images.index_cache import IndexCache
from core.db.tables import DatasetRow, TestSetRow
from core.domain.errors import TrainsOnTestSet, Unavailable
from core.services.context import Platform
from core.services.jobs.images import refuse_without_index
from core.services.models.training_sets import TrainingSets, training_sets
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.index.leaks import LeakedImage, find_leaks, leak_of, refusal_of

_KEPT = 1000  # results; one has what leaks, which is nothing for most


class LeakCheck:
    """Of one process of the API. Safe for threads."""

    def __init__(self, platform: Platform, indexes: IndexCache) -> None:
        self._platform = platform
        self._indexes = indexes
        self._found: OrderedDict[tuple[str, str], list[LeakedImage]] = OrderedDict()
        self._computing = threading.Lock()  # one at a time: it takes a core and the memory of a list

    def leak_of(self, job_id: str, model: str, *, allow: bool) -> dict[str, Any] | None:
        """What the run keeps; None where the training learns from no frozen test image.

        Raises TrainsOnTestSet unless `allow`, ImageIndexMissing, and as `training_sets`.
        """
        sets = training_sets(self._platform.db, job_id, model)
        if sets is None:
            return None
        found = [(each.name, leak) for each in sets.sets for leak in self._leaks(sets, each.dataset)]
        leak = leak_of(found, sets.frozen.generation)
        if leak and not allow:
            raise TrainsOnTestSet(refusal_of(leak), job_id=job_id, **leak)
        return leak

    def _leaks(self, sets: TrainingSets, dataset: DatasetRow) -> list[LeakedImage]:
        if dataset.index_key is None:
            refuse_without_index(self._platform, sets.job, dataset)
        known = (dataset.fingerprint, sets.frozen.sha256)
        with self._computing:
            if known not in self._found:
                self._found[known] = self._computed(dataset, sets.frozen)
                if len(self._found) > _KEPT:
                    self._found.popitem(last=False)
            return self._found[known]

    def _computed(self, dataset: DatasetRow, frozen: TestSetRow) -> list[LeakedImage]:
        from pipeline.dataset.frozen_images import (
            read_frozen_images,  # it loads numpy, which other requests do not need
        )

        folder = self._platform.settings.temp / "frozen-images"
        path = folder / f"{frozen.sha256}.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._fetch(frozen, path)
        return find_leaks(self._indexes.path_of(dataset), read_frozen_images(path))

    def _fetch(self, frozen: TestSetRow, path: Path) -> None:
        try:
            self._platform.store.fetch(frozen.key, path)
        except (ObjectMissing, ObjectCorrupt) as error:
            detail = "The list of the frozen test images is missing or damaged in the object store."
            raise Unavailable(detail, service="store") from error
