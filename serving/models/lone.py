"""Whether a request without company is computed on all cores or on one: what has been faster lately.

All cores wait for each other at each of a hundred layers, and they wait by spinning. Where something else runs on one
of them, that costs a slice of the scheduler each time: on a busy machine all cores took 185 ms and one 104.
"""

from collections import deque
from math import inf
from statistics import median

LATELY = 9  # runs, of which the median counts: one that waited for the scheduler decides nothing
# The other way is tried in several requests that follow each other, for what has not run for a while is slow once,
# and seldom enough not to show in a p99. Among the first requests it is tried more often: what the load of the model
# measured, it measured beside whatever else started then.
TRY, EVERY = 4, 600
EARLY, EARLY_EVERY = 100, 24


class Lone:
    """Of one model. Times are milliseconds of the model's run. `alone_ms`: None where there is but one way."""

    def __init__(self, *, shared_ms: float, alone_ms: float | None) -> None:
        self._times = {False: deque([shared_ms], LATELY), True: deque([inf if alone_ms is None else alone_ms], LATELY)}
        self._has_choice = alone_ms is not None
        self._count = 0
        self._tried: bool | None = None  # the way that is tried
        self._is_first = False  # of a try

    def on_all_cores(self) -> bool:
        """For the next request."""
        self._count += 1
        place = self._count % (EARLY_EVERY if self._count <= EARLY else EVERY)
        if place == 0 and self._has_choice:
            self._tried, self._is_first = not self._faster, True
        elif place >= TRY:
            self._tried = None
        return self._faster if self._tried is None else self._tried

    def note(self, milliseconds: float, *, on_all_cores: bool) -> None:
        """What a request took that was without company to its end."""
        if on_all_cores == self._tried and self._is_first:
            self._is_first = False
            self._times[on_all_cores].clear()  # they are of long ago
        self._times[on_all_cores].append(milliseconds)

    @property
    def _faster(self) -> bool:
        return median(self._times[True]) < median(self._times[False])
