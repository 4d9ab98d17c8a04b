"""Between a trainer and its supervisor: progress up; cancel, stop and the end of its time down."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from core.domain.errors import TimedOut
from pipeline.process.child import Channel
from pipeline.process.disk_full import has_room, is_full_disk
from pipeline.trainers import Ended, Progress, TrainingEnded
from pipeline.training.checkpoint import write_checkpoint
from pipeline.training.room import RoomGuard

RECENT_EPOCHS = 5  # the estimate of the time left follows the last epochs: the first one is slow


class ChannelReporter:
    """`pipeline.trainers.Reporter` over the channel to the supervisor. `echo`: also print for a person."""

    def __init__(
        self,
        channel: Channel,
        *,
        out: Path,
        seconds_left: float | None,
        checkpoint_seconds: float,
        echo: bool,
    ) -> None:
        now = time.monotonic()
        self._channel = channel
        self._out = out
        self._deadline = None if seconds_left is None else now + seconds_left
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint_due = now  # the first at once
        self._checkpointed = 0
        self._epoch_began = now
        self._recent: deque[float] = deque(maxlen=RECENT_EPOCHS)
        self._echo = echo
        self._room = RoomGuard(out, note=partial(self.note, "disk"), check=self.raise_if_cancelled)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        self._recent.append(now - self._epoch_began)
        self._epoch_began = now
        left = self._estimate(progress.epochs - progress.epoch, now)
        self._channel.emit(
            "epoch",
            epoch=progress.epoch,
            epochs=progress.epochs,
            metrics=dict(progress.metrics),
            seconds_left=round(left, 1),
        )
        self._print(_row(progress, left))
        self.raise_if_cancelled()

    def poll(self, *, have_model: bool) -> None:
        self.raise_if_cancelled()
        self._room.wait()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            if not have_model:
                raise TimedOut("max_minutes ended before the first epoch.")
            raise TrainingEnded("max-minutes")
        # Without a model there is nothing to keep: train on until there is one.
        if self._channel.stopping.is_set() and have_model:
            raise TrainingEnded("stopped")

    def raise_if_cancelled(self) -> None:
        self._channel.raise_if_cancelled()

    def stage(self, name: Literal["loading", "training", "evaluating", "packing"]) -> None:
        self.raise_if_cancelled()
        self._room.wait()
        self._channel.stage(name)
        self._epoch_began = time.monotonic()
        self._print(f"{name} ...")

    def note(self, name: str, text: str) -> None:
        self._channel.emit("note", name=name, text=text)
        self._print(f"note: {text}")

    def checkpoint(self, epoch: int, files: Mapping[str, Path], *, ended: Ended | None) -> None:
        due = time.monotonic() >= self._checkpoint_due or ended is not None
        if epoch <= self._checkpointed or not due:
            return
        name = f"checkpoints/{epoch:06d}"
        if not self._write(name, files, epoch=epoch, ended=ended):
            return
        self._checkpointed = epoch
        self._checkpoint_due = time.monotonic() + self._checkpoint_seconds
        self._channel.emit("checkpoint", epoch=epoch, path=name)
        self.raise_if_cancelled()

    def _write(self, name: str, files: Mapping[str, Path], *, epoch: int, ended: Ended | None) -> bool:
        """False: the disk has no room for it. The run continues, and the next epoch tries again."""
        size = sum(path.stat().st_size for path in files.values())
        self._room.expect(size)
        try:
            if has_room(self._out, size):
                write_checkpoint(self._out / name, files, epoch=epoch, ended=ended)
                return True
        except OSError as error:
            if not is_full_disk(error):
                raise
        self.note("disk", f"the checkpoint of epoch {epoch} was not written: the disk is nearly full")
        return False

    def _estimate(self, epochs: int, now: float) -> float:
        left = epochs * sum(self._recent) / len(self._recent)
        return left if self._deadline is None else max(0.0, min(left, self._deadline - now))

    def _print(self, text: str) -> None:
        if self._echo:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


def _row(progress: Progress, seconds_left: float) -> str:
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items() if value is not None)
    return f"epoch {progress.epoch}/{progress.epochs}  {metrics}  ({seconds_left:.0f} s left)"
