"""The server: uvicorn with the limits of `LimitedProtocol`."""

import resource

import uvicorn
from fastapi import FastAPI

from api.http.protocol import LimitedProtocol

SHUTDOWN_SECONDS = 3  # then event streams are closed; their clients reconnect with Last-Event-ID
KEEP_ALIVE_SECONDS = 5  # between two requests of a connection
OTHER_FILES = 256  # open files that are no connection: the database, libraries, temporary files


def server_of(app: FastAPI, *, host: str, port: int, max_connections: int) -> uvicorn.Server:
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
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)


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
