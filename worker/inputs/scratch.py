"""The folder of an attempt: empty at first, removed at its end. Retention removes the folders of killed attempts."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.work.leases import Claim, table_of
from core.settings import Settings
from core.storage.locked_files import remove_leftovers

TEMPORARY_PREFIX = "darkroom-child-"  # of the temporary folder of a child
UPLOADS = "upload-*.part"  # of the API, where it shares the folder

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


def clean_machine(platform: Platform) -> None:
    """`remove_dead_scratch` at the start of a worker, which works all the same when it fails."""
    try:
        remove_dead_scratch(platform)
    except Exception:
        log.exception("scratch.not_removed")


def remove_dead_scratch(platform: Platform) -> list[str]:
    """Remove the folders of attempts on this machine that have ended, killed with their worker. Returns their names."""
    roots = [scratch_root(platform.settings), platform.settings.cache / "private"]
    names = sorted({path.name for root in roots if root.is_dir() for path in root.iterdir()})
    try:
        dead = [name for name in names if not _is_alive(platform, name)]
    except Unavailable:
        return []  # the next round removes them
    remove_dead_leftovers(platform.settings)
    for name in dead:
        for root in roots:
            shutil.rmtree(root / name, ignore_errors=True)
        log.info("scratch.removed", name=name)
    return dead


def remove_dead_leftovers(settings: Settings) -> list[Path]:
    """Remove what processes that died left in the folders of temporary files, of the cache and of the system."""
    paths = [
        *settings.temp.glob(UPLOADS),
        *settings.temp.glob("mlflow-*"),
        *settings.cache.glob(".*.part"),
        *settings.weights.glob(".*.part"),
        *Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*"),
    ]
    removed = remove_leftovers(paths)
    for path in removed:
        log.info("leftover.removed", name=path.name)
    return removed


def _is_alive(platform: Platform, name: str) -> bool:
    """Whether the attempt in `name` is the newest of its row and still works."""
    row_id, _, attempt = name.rpartition("-")
    table = table_of(row_id)
    if table is None:
        return False
    with platform.db.reading() as session:
        row = session.get(table, row_id)
    return row is not None and str(row.attempt) == attempt and row.state in table.lifecycle.active
