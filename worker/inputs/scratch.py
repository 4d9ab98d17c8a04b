"""The folder of an attempt: empty at first, removed at its end. Retention removes the folders of killed attempts."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from core import clock
from core.db.tables import JobRow, RunRow
from core.domain.errors import Unavailable
from core.domain.states import JobState, RunState
from core.services.context import Platform
from core.services.work.leases import Claim
from core.settings import Settings

LEFTOVER_SECONDS = 24 * 3600  # nothing is being extracted for longer than this
WORKING = (JobState.PREPARING, RunState.RUNNING, RunState.CANCELLING)

log = structlog.get_logger(__name__)


def scratch_root(settings: Settings) -> Path:
    return settings.temp / "attempts"


def scratch_name(claim: Claim) -> str:
    return f"{claim.id}-{claim.attempt}"


@contextmanager
def fresh_folder(root: Path, name: str) -> Iterator[Path]:
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_dead_scratch(platform: Platform) -> list[str]:
    """Remove the folders of attempts on this machine that have ended, killed with their worker. Returns their names."""
    roots = [scratch_root(platform.settings), platform.settings.cache / "private"]
    names = sorted({path.name for root in roots if root.is_dir() for path in root.iterdir()})
    try:
        dead = [name for name in names if not _is_alive(platform, name)]
    except Unavailable:
        return []  # the next round removes them
    _remove_old_leftovers(platform.settings)
    for name in dead:
        for root in roots:
            shutil.rmtree(root / name, ignore_errors=True)
        log.info("scratch.removed", name=name)
    return dead


def _remove_old_leftovers(settings: Settings) -> None:
    """Files that were being extracted or sent to MLflow when their process was killed."""
    for path in (*settings.cache.glob(".*.part"), *settings.temp.glob("mlflow-*")):
        if clock.now().timestamp() - path.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(platform: Platform, name: str) -> bool:
    """Whether the attempt in `name` is the newest of its row and still works."""
    row_id, _, attempt = name.rpartition("-")
    with platform.db.reading() as session:
        row = session.get(JobRow, row_id) or session.get(RunRow, row_id)
    return row is not None and str(row.attempt) == attempt and row.state in WORKING
