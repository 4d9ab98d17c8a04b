"""What else a use case commits with its own change: the answer kept for an Idempotency-Key, say."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

# Called inside the transaction, after the change, with the changed row. What it raises rolls the change back.
OnCommit = Callable[[Session, Any], None]


def do_nothing(_session: Session, _row: Any) -> None:
    """The default: nothing else."""
