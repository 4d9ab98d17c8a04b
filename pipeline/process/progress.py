"""How far a long verb is: told to its line (and to a person at a terminal), and the place where it is cancelled."""

import sys
import time

from pipeline.process.child import Channel

_INTERVAL_SECONDS = 0.3  # a few lines a second at most


class StageReporter:
    """Stages with their durations. `line` is None where nobody listens; `verbose` prints for a person."""

    def __init__(self, line: Channel | None = None, *, verbose: bool = False) -> None:
        self._line = line
        self._verbose = verbose
        self._stage = ""
        self._since = 0.0
        self._told = 0.0
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """Raises RunCancelled when asked to stop."""
        self.end()
        self._stage, self._since, self._told = name, time.monotonic(), 0.0
        self.raise_if_cancelled()
        if self._line:
            self._line.stage(name)
        if self._verbose:
            print(f"{name} ...", file=sys.stderr)  # noqa: T201 - for the person at the terminal

    def raise_if_cancelled(self) -> None:
        if self._line:
            self._line.raise_if_cancelled()

    def tick(self, done: int, total: int) -> None:
        """Raises RunCancelled when asked to stop."""
        self.raise_if_cancelled()
        now = time.monotonic()
        if now - self._told < _INTERVAL_SECONDS and done < total:
            return
        self._told = now
        if self._line:
            self._line.emit("progress", done=done, total=total)
        if self._verbose:
            print(f"  {done}/{total}", file=sys.stderr, end="\r" if done < total else "\n")  # noqa: T201

    def end(self) -> None:
        if self._stage:
            self.seconds[self._stage] = round(time.monotonic() - self._since, 3)
        self._stage = ""
