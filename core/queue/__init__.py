"""The task queue: a message names a row that waits, nothing else. The row is the truth; the sweep enqueues it again.

Only ids cross the queue, and a message is sent after the transaction that wrote the row has ended.
"""

from collections.abc import Mapping
from typing import Protocol

from core.settings import Settings

__all__ = [
    "OPERATE",
    "PREPARE",
    "ROLES",
    "TASKS",
    "TRAIN",
    "TaskQueue",
    "open_queue",
]

PREPARE = "prepare"
TRAIN = "train"
OPERATE = "operate"
TASKS = (PREPARE, TRAIN, OPERATE)
ROLES: Mapping[str, str] = {PREPARE: "prepare", TRAIN: "train", OPERATE: "operations"}  # of the workers of each task


class TaskQueue(Protocol):
    def enqueue(self, task: str, row_id: str) -> bool:
        """Send a worker the id of a row that waits. True: the broker has the message.

        A failure is logged, never raised, and takes 2 s at most: the sweep enqueues the row again.
        Raises ValueError for a task that is none of `TASKS`.
        """

    def ping(self) -> float:
        """Seconds that the broker took to answer. Raises `Unavailable`."""


def open_queue(settings: Settings) -> TaskQueue:
    """The queue that `DARKROOM_BROKER_URL` names; polling only where it is empty. Connects to nothing yet."""
    if not settings.broker_url:
        from core.queue.polling_only import PollingOnly

        return PollingOnly()
    from core.queue.celery_queue import CeleryQueue  # Celery and kombu take 0.2 s to import

    return CeleryQueue(settings)
