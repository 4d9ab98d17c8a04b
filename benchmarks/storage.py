"""`python -m benchmarks.storage`: what a project stores and what could be deleted, of one project with many rows.

SQLite in a temporary folder. Prints medians: milliseconds that passed, and of the processor.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

from sqlalchemy import text

from benchmarks.load_rows import fill
from core import clock
from core.db import Database, open_database
from core.db.migrate import upgrade
from core.domain.retention import FreeableKind
from core.services.storage.purge import PurgeChoice, plan_purge
from core.services.storage.usage import project_usage

JOBS, RUNS, VERSIONS, ROUNDS = 20_000, 20_000, 10_000, 7
# Every row of `fill` belongs to the last project.
GATHERED = (
    "UPDATE jobs SET revision = -rowid",
    "UPDATE versions SET number = -rowid",
    "UPDATE jobs SET project_id = :project, revision = rowid, source_key = 'uploads/' || id || '/source.zip'",
    "UPDATE runs SET project_id = :project, checkpoint_key = 'runs/' || id, checkpoint_bytes = 1000000",
    "UPDATE versions SET project_id = :project, number = rowid",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'darkroom.db'}"
        upgrade(url)
        db = open_database(url)
        project = _one_project(db)
        usage = project_usage(db, project)
        counts = {each.kind: each.count for each in usage.stored if each.count}
        sys.stdout.write(f"{counts}\nfreeable: { {str(kind): each.count for kind, each in usage.freeable.items()} }\n")
        _measure("storage", lambda: project_usage(db, project))
        choice = PurgeChoice(list(FreeableKind))
        _measure("a dry run", lambda: plan_purge(db, project, choice, cursor=None, limit=50))
        db.close()


def _one_project(db: Database) -> str:
    filled = fill(db, jobs=JOBS, runs=RUNS, versions=VERSIONS, projects=1)
    slug, project_id = next(iter(filled.projects.items()))
    with db.transaction() as session:
        for statement in GATHERED:
            session.execute(text(statement), {"project": project_id} if ":project" in statement else {})
        session.execute(text("ANALYZE"))
    return slug


def _measure(name: str, read: Callable[[], object]) -> None:
    taken, worked = [], []
    for _ in range(ROUNDS):
        began, before = clock.monotonic(), process_time()
        read()
        taken.append(1000 * (clock.monotonic() - began))
        worked.append(1000 * (process_time() - before))
    sys.stdout.write(f"{name}: {median(taken):.0f} ms, of the processor {median(worked):.0f} ms\n")


if __name__ == "__main__":
    main()
