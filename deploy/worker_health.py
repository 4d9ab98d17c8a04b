"""`python -m deploy.worker_health`: whether this container's worker was seen in the last minute. Exit status 0 or 1.

A worker says so itself, every 15 s, in the table that /ready reads; it does while it trains, too.
"""

import socket
import sys

from sqlalchemy import select

from core.db import open_database
from core.db.clock import db_now
from core.db.tables import WorkerRow
from core.domain.errors import DarkroomError
from core.settings import Settings

SEEN_SECONDS = 60


def main() -> int:
    database = open_database(Settings().database)
    mine = select(WorkerRow.name).where(
        WorkerRow.name.startswith(f"{socket.gethostname()}:", autoescape=True),
        WorkerRow.seen_at > db_now() - SEEN_SECONDS,
    )
    try:
        with database.reading() as session:
            seen = session.execute(mine.limit(1)).first() is not None
    except DarkroomError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        database.close()
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main())
