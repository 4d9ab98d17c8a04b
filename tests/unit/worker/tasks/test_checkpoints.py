"""Checkpoints on their way to a store that is full for a while."""

import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog import get_logger

from core.domain.errors import OutOfSpace
from core.services.work.leases import Claim
from core.storage import StoredObject
from tests.waiting import wait_until
from worker.tasks import checkpoints
from worker.tasks.attempt import Attempt
from worker.tasks.checkpoints import Uploader


def test_a_checkpoint_that_a_full_store_refused_leaves_no_file_once_a_newer_one_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "RETRY_SECONDS", 0.01)
    recorded: list[int] = []
    monkeypatch.setattr(checkpoints, "record_checkpoint", lambda *_, epoch, **__: recorded.append(epoch))
    store = FullStore()
    with closing(Uploader(attempt_in(tmp_path, store))) as uploader:
        uploader.offer(1, checkpoint_in(tmp_path, 1))
        wait_until(store.requested.is_set, seconds=5, what="the first checkpoint is sent")
        uploader.offer(2, checkpoint_in(tmp_path, 2))
        store.may_answer.set()
        assert uploader.settle(seconds=5)
    assert recorded == [2]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


class FullStore:
    """Refuses the first object, after `may_answer`."""

    def __init__(self) -> None:
        self.requested, self.may_answer = threading.Event(), threading.Event()

    def take(self, key: str, path: Path, **_: Any) -> StoredObject:
        if not self.requested.is_set():
            self.requested.set()
            self.may_answer.wait(5)
            raise OutOfSpace
        return StoredObject(key, path.stat().st_size, "0" * 64)


def attempt_in(scratch: Path, store: FullStore) -> Attempt[Any]:
    lease = SimpleNamespace(raise_if_lost=lambda: None)
    platform = SimpleNamespace(store=store, db=None)
    stub = SimpleNamespace(platform=platform, claim=Claim("run_1", 1), lease=lease, scratch=scratch, log=get_logger())
    return cast("Attempt[Any]", stub)


def checkpoint_in(scratch: Path, epoch: int) -> Path:
    folder = scratch / "out" / f"{epoch:06d}"
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(b"weights")
    return folder
