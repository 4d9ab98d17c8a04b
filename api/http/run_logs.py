"""The end of a run's log: of the tail in the database while it runs, of the stored object afterwards."""

from core.db.tables import RunLogRow
from core.domain.errors import NotFound
from core.storage import ObjectStore, StoredObject

TAIL_BYTES = 1024**2  # of a stored log at most this much is read


def stored_log(store: ObjectStore, log: RunLogRow) -> StoredObject | None:
    """The object with the whole log; None while there is only its tail. Raises NotFound for one that is gone."""
    if log.key is None:
        return None
    stored = store.head(log.key)
    if stored is None:
        raise NotFound("The log is no longer stored.", run_id=log.run_id, attempt=log.attempt)
    return stored


def last_lines(store: ObjectStore, log: RunLogRow, stored: StoredObject | None, lines: int | None) -> bytes:
    """Whole lines of the end; all of them where `lines` is None. `stored`: of `stored_log`."""
    return _last(_whole_lines(log) if stored is None else _end_of(store, stored), lines)


def _whole_lines(log: RunLogRow) -> bytes:
    """The tail without its first line where that is incomplete."""
    cut = log.total_bytes > len(log.tail)
    return log.tail.partition(b"\n")[2] if cut else log.tail


def _last(content: bytes, lines: int | None) -> bytes:
    """Only \\n ends a line: a progress bar with carriage returns counts as one."""
    if lines is None:
        return content
    kept = content.split(b"\n")
    return b"\n".join(kept[-lines - (kept[-1] == b"") :])


def _end_of(store: ObjectStore, stored: StoredObject) -> bytes:
    if stored.bytes == 0:
        return b""
    start = max(stored.bytes - TAIL_BYTES, 0)
    end = b"".join(store.open(stored.key, start=start, end=stored.bytes - 1))
    return end.partition(b"\n")[2] if start else end  # the first line may be incomplete
