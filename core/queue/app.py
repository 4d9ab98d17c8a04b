"""The Celery application that the worker registers its tasks on and that the bell sends with."""

from celery import Celery

from core.queue import TASKS
from core.settings import Settings


def task_name(task: str) -> str:
    return f"darkroom.{task}"


def make_celery(settings: Settings) -> Celery:
    """An application for `DARKROOM_BROKER_URL`; every task has a queue of its own name. Connects to nothing yet.

    Messages are acknowledged before their task starts. Late acknowledgement would hand a training to a second worker
    as soon as it outlasts the visibility timeout (an hour), while the first still runs. What a crash loses here is a
    message; the row stays, its lease runs out, and the sweep rings again.
    """
    app = Celery("darkroom", broker=settings.broker_url or "memory://", set_as_current=False)
    app.conf.update(
        task_acks_late=False,
        task_ignore_result=True,
        result_backend=None,
        task_routes={task_name(task): {"queue": task} for task in TASKS},
        task_create_missing_queues=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a busy worker holds no message that an idle one could take
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a broker may be away for a night; a worker that gave up helps nobody
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the row says who trains, the broker does not
        broker_connection_timeout=2.0,
        broker_transport_options={
            # An hour, kombu's default, said aloud: with early acknowledgement it bounds only how long a message waits
            # that a worker received and was killed before acknowledging.
            "visibility_timeout": 3600,
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
        },
        timezone="UTC",
    )
    return app
