"""How long after its end a process is started again. Imported by processes that should stay small."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
HEALTHY_SECONDS = 30.0  # a process that lived this long did start


class RestartDelay:
    """Of one process: 0.5 s, then 1 s, 2 s, ... 30 s; a life of 30 s resets it."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def after(self, lived: float) -> float:
        """The seconds until its next start. `lived`: the seconds from its start to its end."""
        seconds = FIRST_SECONDS if lived >= HEALTHY_SECONDS else self._next
        self._next = min(2 * seconds, LONGEST_SECONDS)
        return seconds
