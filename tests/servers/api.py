"""The API on a free port, in a thread of the test process: real HTTP with streams and disconnects."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
from fastapi import FastAPI
from starlette.routing import BaseRoute

from api.app import create_app
from core.services.context import Platform, open_platform
from core.settings import Settings
from http_common.server import server_of
from tests import REPOSITORY
from tests.servers import free_port
from tests.waiting import wait_until

_ROUTES: list[BaseRoute] = []


@contextmanager
def serving(platform: Platform, *, port: int | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """A client of the API over `platform`, or over a platform with other `settings` on the same database and home.

    `port`: where an API stopped before; else a free one.
    """
    if settings:
        same: dict[str, Any] = {"home": platform.settings.home, "database_url": platform.settings.database}
        platform = open_platform(Settings(**(same | settings)))
    port = port or free_port()
    limit = platform.settings.max_connections
    app = _app(platform)
    stop = app.state.event_poll.stop
    server = server_of(app, host="127.0.0.1", port=port, max_connections=limit, on_stop=stop)
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, seconds=10, what="the API accepts connections")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)
        assert not getattr(server.lifespan, "shutdown_failed", False), "what the API holds is closed without an error"


def _app(platform: Platform) -> FastAPI:
    """With the routes of the first one: each application reads the parameters of all endpoints, which takes 0.2 s."""
    app = create_app(platform)
    app.router.routes[:] = _ROUTES or app.router.routes
    _ROUTES[:] = app.router.routes
    return app


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The body of an answer that must be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["slug"], body["type"], body["status"]) == (slug, f"/problems/{slug}", status)
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@contextmanager
def api_process(platform: Platform, **settings: object) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """`python -m api` over the same database and home."""
    port = free_port()
    same = {"home": platform.settings.home, "database_url": platform.settings.database, "api_port": port}
    environment = os.environ | {f"DARKROOM_{name.upper()}": str(value) for name, value in (same | settings).items()}
    with subprocess.Popen([sys.executable, "-m", "api"], cwd=REPOSITORY, env=environment) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
                wait_until(lambda: _answers(client), seconds=20, what="the API answers")
                yield client, psutil.Process(process.pid)
        finally:
            process.terminate()
            assert process.wait(10) in (0, -15)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.ConnectError:
        return False
