"""A hidden work folder inside `out`: a person's `out` may already contain files, also in a folder `work`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_in(out: Path) -> Iterator[Path]:
    """A new, empty folder in `out`, on the same disk as the artifacts; it is removed at the end."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".work-", ignore_cleanup_errors=True) as work:
        yield Path(work)
