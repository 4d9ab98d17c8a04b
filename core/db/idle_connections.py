"""Pooled connections to a server are tried before use where they were idle: it may have restarted in between."""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from core import clock

IDLE_SECONDS = 1.0  # trying each connection at each use costs a tenth of a short read
_SINCE = "darkroom_idle_since"


def try_idle_connections(engine: Engine) -> None:
    """A connection that is broken is replaced, and so are the others of the pool; the user does not notice."""

    def note(_connection: Any, record: Any) -> None:
        record.info[_SINCE] = clock.monotonic()

    def try_idle(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get(_SINCE)
        if since is None or clock.monotonic() - since < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", try_idle)
