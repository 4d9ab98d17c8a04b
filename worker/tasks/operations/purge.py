"""Freeing room of a project: rows of a kind in one transaction, then their objects, until nothing is left.

A worker that is killed in between leaves rows that name no deleted object: derived rows and versions are marked, and
their objects are deleted by whoever comes first, the next attempt or housekeeping; the prefixes of sources and
checkpoints are in the result of the operation until they are deleted.
"""

from collections.abc import Sequence
from typing import Any

from core.db.tables import OperationRow
from core.services.storage.purge import count_left, empty_result, parts_of, purge_some
from worker.tasks.attempt import Attempt
from worker.tasks.retention import purge_derived, purge_versions

FREEING = "freeing"  # a stage


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> dict[str, Any]:
    """Returns {count, bytes, freed: {kind: {count, bytes}}}, those of earlier attempts included."""
    result = operation.result or empty_result()
    deleted = _delete(attempt, result["unfinished"])
    total = result["count"] + count_left(attempt.db, operation)
    attempt.report_surely(stage=FREEING, progress={"done": result["count"], "total": total})
    for kind, scope in parts_of(operation):
        while True:
            attempt.lease.raise_if_stopped()
            more = attempt.lease.retry_until_lost(
                lambda kind=kind, scope=scope, deleted=deleted: purge_some(  # type: ignore[misc]  # bound now
                    attempt.db, attempt.claim, kind, scope, deleted=deleted, total=total
                )
            )
            if more is None:
                break
            result = dict(more)
            deleted = _delete(attempt, result["unfinished"])
    attempt.log.info("project.purged", count=result["count"], bytes=result["bytes"])
    return {name: value for name, value in result.items() if name != "unfinished"}


def _delete(attempt: Attempt[OperationRow], prefixes: Sequence[str]) -> Sequence[str]:
    """The objects of what was marked, here or elsewhere, and those below the prefixes, which it returns."""
    platform = attempt.platform
    for prefix in prefixes:
        attempt.lease.raise_if_lost()
        platform.store.delete_prefix(prefix)
    purge_derived(platform)
    purge_versions(platform)
    return prefixes
