"""The task queue over the Redis protocol (Redis, Valkey), with Celery messages."""

import structlog
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from core import clock
from core.domain.errors import Unavailable
from core.queue import TASKS
from core.queue.app import make_celery, task_name
from core.settings import Settings

TIMEOUT_SECONDS = 1.0  # a person waits for the answer meanwhile, and the sweep repeats it

log = structlog.get_logger(__name__)


class CeleryQueue:
    """Safe for threads: each call takes a producer from Celery's pool."""

    def __init__(self, settings: Settings) -> None:
        self._app = make_celery(settings)
        self._app.conf.broker_transport_options |= {
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "max_retries": 1,
            "interval_start": 0.0,
            "interval_step": 0.0,
            "connect_retries_timeout": TIMEOUT_SECONDS,
        }

    def enqueue(self, task: str, row_id: str) -> bool:
        if task not in TASKS:
            raise ValueError(f"no worker has the task {task!r}")
        try:
            self._app.send_task(task_name(task), args=[row_id], ignore_result=True, retry=False)
        except (KombuError, BrokerError, RedisError, OSError) as error:
            log.warning("enqueue.failed", task=task, row_id=row_id, error=str(error)[:200])
            return False
        except Exception:  # any other error of a client: the row is written, and the sweep enqueues it again
            log.exception("enqueue.failed", task=task, row_id=row_id)
            return False
        return True

    def ping(self) -> float:
        start = clock.monotonic()
        try:
            with self._app.connection_for_write() as connection:
                connection.default_channel.client.ping()
        except (KombuError, BrokerError, RedisError, OSError) as error:
            raise Unavailable("The message broker does not answer.", service="broker") from error
        return clock.monotonic() - start
