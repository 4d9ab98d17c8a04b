"""A thread whose result or exception is waited for elsewhere."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def start_in_thread(work: Callable[[], Result], *, name: str) -> "Future[Result]":
    """Run `work` in a daemon thread, which does not keep the process from ending. Its exception is the future's."""
    future: Future[Result] = Future()
    threading.Thread(target=_resolve, args=(future, work), daemon=True, name=name).start()
    return future


def _resolve(future: "Future[Result]", work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
        future.set_exception(error)
