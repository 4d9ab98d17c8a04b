"""A download with its progress."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli.session import Session
from darkroom.cli.text import safe

if TYPE_CHECKING:
    from darkroom.files import OnBytes


def receive(session: Session, name: str, download: "Callable[[OnBytes], Path]") -> Path:
    """What `download` saves; it reports its bytes to the function that it is given."""
    with session.out.progress(in_bytes=True) as progress:
        task = progress.add_task(safe(name), total=None)
        return download(lambda done, total: progress.update(task, completed=done, total=total or None))
