"""The Celery application: the worker registers its tasks on it, and the task queue sends with it."""

from celery import Celery

from core.queue import TASKS
from core.settings import Settings


def task_name(task: str) -> str:
    return f"darkroom.{task}"


def make_celery(settings: Settings) -> Celery:
    """An application for `DARKROOM_BROKER_URL`; every task has a queue of its own name. Connects to nothing yet.

    Messages are acknowledged before their task starts. With late acknowledgement a training that outlasts the
    visibility timeout (an hour) would go to a second worker while the first still runs. A crash loses a message here;
    the row stays, its lease expires, and the sweep enqueues it again.
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
        worker_disable_prefetch=True,  # a busy worker reserves no message that an idle one could take
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a broker may be down for a night; its workers keep trying
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the row names the worker, not the broker
        broker_connection_timeout=2.0,
        broker_transport_options={
            # An hour, kombu's default, made explicit: with early acknowledgement it limits only how long a message
            # waits whose worker was killed between receiving and acknowledging it.
            "visibility_timeout": 3600,
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
        },
        timezone="UTC",
    )
    return app
