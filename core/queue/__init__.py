"""The doorbell: it says "look at row X", nothing else. The row is the truth, the sweep rings again.

Only ids cross the queue, and a ring comes after the transaction that wrote the row has ended.
"""

from typing import Protocol

from core.settings import Settings

PREPARE = "prepare"
TRAIN = "train"
TASKS = (PREPARE, TRAIN)


class TaskQueue(Protocol):
    def enqueue(self, task: str, row_id: str) -> bool:
        """Tell a worker to look at a row. True: the message is with the broker.

        A ring that fails is logged, never raised, and takes 2 s at most: the sweep rings again.
        ValueError for a task that is none of `TASKS`.
        """

    def ping(self) -> float:
        """Seconds that the broker took to answer. Raises `Unavailable`."""


def open_queue(settings: Settings) -> TaskQueue:
    """The bell that `DARKROOM_BROKER_URL` names; the silent one where it is empty. Connects to nothing yet."""
    if not settings.broker_url:
        from core.queue.polling_only import PollingOnly

        return PollingOnly()
    from core.queue.celery_queue import CeleryQueue  # Celery and kombu take 0.2 s that a silent bell does not need

    return CeleryQueue(settings)
