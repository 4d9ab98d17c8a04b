"""Publishing a version: what every version gets is queued in the same transaction, by operations of their own."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from core.db.tables import VersionRow
from core.services.models.exports import add_first_export
from core.services.models.first_evaluation import add_first_evaluation
from core.services.operations.commands import enqueue_operation
from worker.tasks.attempt import Attempt


def publish_and_follow(attempt: Attempt[Any], publish: Callable[..., VersionRow]) -> VersionRow:
    """`publish` takes `on_commit`. Whether what follows succeeds changes nothing of the version. Raises ClaimLost."""
    platform = attempt.platform
    added: list[str] = []

    def follow(session: Session, version: VersionRow) -> None:
        added.clear()  # of a transaction that was rolled back
        if platform.settings.export_on_publish:
            added.append(add_first_export(session, version))
        if platform.settings.evaluate_on_publish and (evaluation := add_first_evaluation(session, version)):
            added.append(evaluation)

    version = attempt.lease.retry_until_lost(lambda: publish(on_commit=follow))
    for operation_id in added:
        enqueue_operation(platform, operation_id)
    return version
