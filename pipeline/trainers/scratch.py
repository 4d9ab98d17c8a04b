"""A trainer's own folder below `out`: a person's `out` may hold anything, `work/` included."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_in(out: Path) -> Iterator[Path]:
    """A new, empty folder in `out`, on the disk that the artifacts go to; gone at the end."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".work-", ignore_cleanup_errors=True) as work:
        yield Path(work)
