"""The server: uvicorn with the limits of `LimitedProtocol`."""

import ipaddress
import resource
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from core.settings import Settings
from http_common.protocol import LimitedProtocol

SHUTDOWN_SECONDS = 3  # then event streams are closed; their clients reconnect with Last-Event-ID
KEEP_ALIVE_SECONDS = 5  # between two requests of a connection
OTHER_FILES = 256  # open files that are no connection: the database, libraries, temporary files


class _Server(uvicorn.Server):
    """uvicorn waits for open event streams before the lifespan of the application ends, and they for it."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_stop is not None:
            self._on_stop()
        await super().shutdown(sockets)


def server_of(
    app: FastAPI,
    *,
    host: str,
    port: int,
    max_connections: int,
    shutdown_seconds: int = SHUTDOWN_SECONDS,
    on_stop: Callable[[], None] | None = None,
) -> uvicorn.Server:
    """`shutdown_seconds`: requests that were accepted may take so long to be answered after SIGTERM.

    `on_stop` is called in the event loop before it waits for them.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=LimitedProtocol,
        ws="none",
        access_log=False,  # the middleware logs each request with its id
        log_level="warning",
        server_header=False,
        limit_concurrency=max_connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=shutdown_seconds,
    )
    return _Server(config, on_stop)


def allow_open_files(connections: int) -> int:
    """Raise this process's limit of open files for so many connections. Returns the number that the limit allows.

    A connection that uploads has a temporary file besides.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * connections + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max((allowed - OTHER_FILES) // 2, 1)


def refusal_to_listen(settings: Settings, *, host: str, setting: str) -> str:
    """The reason why a service must not listen on `host`, the value of `setting`; empty when it may."""
    if _is_loopback(host) or settings.allow_open or settings.api_token.get_secret_value():
        return ""
    return (
        f"{setting}={host} accepts connections from other machines, but no token is set. "
        "Set DARKROOM_API_TOKEN, or DARKROOM_ALLOW_OPEN=true where a proxy in front authenticates the requests."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name can resolve to any address
