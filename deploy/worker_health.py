"""`python -m deploy.worker_health`: exit status 0 when this container's worker sent a heartbeat in the last minute.

A worker writes its heartbeat every 15 s, also while it trains, to the table that /ready reads.
"""

import socket
import sys

from sqlalchemy import select

from core.db import open_database
from core.db.clock import db_now
from core.db.tables import WorkerRow
from core.domain.errors import DarkroomError
from core.settings import Settings

MAX_AGE_SECONDS = 60  # four heartbeats


def main() -> int:
    database = open_database(Settings().database)
    recent = select(WorkerRow.name).where(
        WorkerRow.name.startswith(f"{socket.gethostname()}:", autoescape=True),
        WorkerRow.seen_at > db_now() - MAX_AGE_SECONDS,
    )
    try:
        with database.reading() as session:
            alive = session.execute(recent.limit(1)).first() is not None
    except DarkroomError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        database.close()
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
