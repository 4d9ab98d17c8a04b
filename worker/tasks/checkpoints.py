"""Checkpoints on their way to the store and back. One thread uploads, always the newest; training never waits."""

import shutil
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path

from core import clock
from core.db.tables import RunRow
from core.domain.errors import OutOfSpace, Unavailable
from core.domain.keys import checkpoint_key
from core.services.work.leases import ClaimLost, record_checkpoint
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.process.checkpoint_manifest import CheckpointDamaged, verify_checkpoint
from pipeline.process.disk_full import is_full_disk
from pipeline.process.tar import pack, unpack
from worker.tasks.attempt import Attempt

RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Offered:
    """A complete checkpoint in a local folder."""

    epoch: int
    folder: Path


class Uploader:
    """Stores, records, then deletes what it replaces. A store that does not answer delays the checkpoint alone."""

    def __init__(self, attempt: Attempt[RunRow]) -> None:
        self._platform = attempt.platform
        self._claim = attempt.claim
        self._lease = attempt.lease
        self._log = attempt.log
        self._scratch = attempt.scratch
        self._changed = threading.Condition()
        self._next: Offered | None = None
        self._busy = False
        self._over = False
        self._recorded_key: str | None = None
        threading.Thread(target=self._run, daemon=True, name="checkpoints").start()

    def offer(self, epoch: int, folder: Path) -> None:
        """Queue a checkpoint for upload, in place of one that still waits."""
        with self._changed:
            older, self._next = self._next, Offered(epoch, folder)
            self._changed.notify_all()
        if older is not None:
            shutil.rmtree(older.folder, ignore_errors=True)

    def settle(self, *, seconds: float) -> bool:
        """Wait until every queued checkpoint is stored and recorded. False: not within `seconds`."""
        ends = clock.monotonic() + seconds
        with self._changed:
            while self._next is not None or self._busy:
                left = ends - clock.monotonic()
                if left <= 0 or self._over:
                    return False
                self._changed.wait(left)
        return True

    def close(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self) -> None:
        log = self._log
        while (offered := self._take()) is not None:
            try:
                self._store(offered)
            except ClaimLost:
                self.close()
            except (Unavailable, OutOfSpace) as error:
                log.warning("checkpoint.delayed", epoch=offered.epoch, error=error.detail)
                self._put_back(offered)
            except OSError as error:
                if is_full_disk(error):  # of the scratch
                    log.warning("checkpoint.delayed", epoch=offered.epoch, error=str(error))
                    self._put_back(offered)
                else:  # the scratch is being removed: the older one stays
                    log.warning("checkpoint.dropped", epoch=offered.epoch, error=str(error))
            except Exception:  # this one is lost; the next is tried
                log.exception("checkpoint.dropped", epoch=offered.epoch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _take(self) -> Offered | None:
        with self._changed:
            while self._next is None and not self._over:
                self._changed.wait()
            if self._over:
                return None
            offered, self._next, self._busy = self._next, None, True
            return offered

    def _put_back(self, offered: Offered) -> None:
        """Unless a newer one waits by now."""
        with self._changed:
            is_newest = self._next is None
            if is_newest:
                self._next = offered
            self._changed.wait(RETRY_SECONDS)
        if not is_newest:
            shutil.rmtree(offered.folder, ignore_errors=True)

    def _store(self, offered: Offered) -> None:
        key = checkpoint_key(self._claim.id, self._claim.attempt, offered.epoch)
        archive = pack(offered.folder, self._scratch / f"checkpoint-{offered.epoch:06d}.tar")
        try:
            self._lease.raise_if_lost()
            stored = self._platform.store.take(key, archive, media_type="application/x-tar")
        finally:
            archive.unlink(missing_ok=True)
        self._lease.raise_if_lost()
        db, epoch = self._platform.db, offered.epoch
        record_checkpoint(db, RunRow, self._claim, key=key, epoch=epoch, sha256=stored.sha256, size=stored.bytes)
        self._log.info("checkpoint.stored", epoch=offered.epoch, bytes=stored.bytes)
        shutil.rmtree(offered.folder, ignore_errors=True)
        older, self._recorded_key = self._recorded_key, key
        if older is not None and older != key:
            try:
                self._platform.store.delete_prefix(older)
            except Unavailable as error:  # this one is recorded; retention deletes the other as an orphan
                self._log.warning("checkpoint.left", key=older, error=error.detail)


def fetch_checkpoint(attempt: Attempt[RunRow], run: RunRow) -> tuple[Path | None, str | None]:
    """The folder of the run's last checkpoint, None without one; and a note for people when it cannot be used.

    A checkpoint that is missing or damaged never fails a run: it starts afresh. Raises Unavailable, OutOfSpace.
    """
    if run.checkpoint_key is None:
        return None, None
    key, archive, folder = run.checkpoint_key, attempt.scratch / "checkpoint.tar", attempt.scratch / "checkpoint"
    try:
        stored = attempt.lease.run_in_thread(lambda: attempt.platform.store.lend(key, archive))
        if run.checkpoint_sha256 not in (None, stored.sha256):
            raise ObjectCorrupt(key)
        unpack(archive, folder, check=attempt.lease.raise_if_stopped)
        verify_checkpoint(folder)
    except (ObjectMissing, ObjectCorrupt, tarfile.TarError, CheckpointDamaged) as error:
        attempt.log.warning("checkpoint.unusable", key=key, error=str(error)[:200])
        shutil.rmtree(folder, ignore_errors=True)
        return None, f"started afresh: the checkpoint of epoch {run.checkpoint_epoch} could not be read"
    finally:
        archive.unlink(missing_ok=True)
    return folder, None
