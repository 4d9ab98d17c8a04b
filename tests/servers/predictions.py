"""Serving on a free port, in a thread of the test process: real HTTP with streams and disconnects."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from core.services.context import Platform
from http_common.server import server_of
from serving.app import create_app
from tests.servers import free_port
from tests.waiting import wait_until


@contextmanager
def predictions(platform: Platform, *, port: int = 0, **settings: Any) -> Iterator[tuple[httpx.Client, FastAPI]]:
    """A client of serving over `platform`, with other `settings`, and the application."""
    if settings:
        other = platform.settings.model_copy(update=settings)
        platform = Platform(other, platform.db, platform.store, platform.queue)
    app, port = create_app(platform), port or free_port()
    server = server_of(app, host="127.0.0.1", port=port, max_connections=platform.settings.max_connections)
    server.config.timeout_graceful_shutdown, app.state.server = 5, server
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, seconds=10, what="serving accepts connections")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client, app
    finally:
        server.should_exit = True
        thread.join(10)
