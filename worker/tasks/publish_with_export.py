"""Publishing a version: its ONNX is queued in the same transaction, by an operation of its own."""

from collections.abc import Callable
from typing import Any

from core.db.tables import VersionRow
from core.services.models.exports import first_export
from core.services.operations.commands import enqueue_operation, new_operation_id
from worker.tasks.attempt import Attempt


def publish_with_export(attempt: Attempt[Any], publish: Callable[..., VersionRow]) -> VersionRow:
    """`publish` takes `on_commit`. Whether the export succeeds changes nothing of the version. Raises ClaimLost."""
    platform = attempt.platform
    if not platform.settings.export_on_publish:
        return attempt.lease.retry_until_lost(publish)
    operation_id = new_operation_id()
    version = attempt.lease.retry_until_lost(lambda: publish(on_commit=first_export(operation_id)))
    enqueue_operation(platform, operation_id)
    return version
