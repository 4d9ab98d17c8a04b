"""Progress of a long command: reported over its channel, printed for a person, and the place where it is cancelled."""

import sys
import time

from pipeline.process.child import Channel

_INTERVAL_SECONDS = 0.3  # a few reports a second at most


class StageReporter:
    """Stages with their durations. `channel`: to a supervisor, if there is one. `verbose`: print for a person."""

    def __init__(self, channel: Channel | None = None, *, verbose: bool = False) -> None:
        self._channel = channel
        self._verbose = verbose
        self._stage = ""
        self._since = 0.0
        self._reported_at = 0.0
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """Begin a stage. Raises RunCancelled."""
        self.end()
        self._stage, self._since, self._reported_at = name, time.monotonic(), 0.0
        self.raise_if_cancelled()
        if self._channel:
            self._channel.stage(name)
        if self._verbose:
            print(f"{name} ...", file=sys.stderr)  # noqa: T201 - for the person at the terminal

    def raise_if_cancelled(self) -> None:
        if self._channel:
            self._channel.raise_if_cancelled()

    def tick(self, done: int, total: int) -> None:
        """Report the progress of this stage. Raises RunCancelled."""
        self.raise_if_cancelled()
        now = time.monotonic()
        if now - self._reported_at < _INTERVAL_SECONDS and done < total:
            return
        self._reported_at = now
        if self._channel:
            self._channel.emit("progress", done=done, total=total)
        if self._verbose:
            print(f"  {done}/{total}", file=sys.stderr, end="\r" if done < total else "\n")  # noqa: T201

    def end(self) -> None:
        """End the stage and note its duration."""
        if self._stage:
            self.seconds[self._stage] = round(time.monotonic() - self._since, 3)
        self._stage = ""
