"""What a use case commits together with its own change, such as the answer kept for an Idempotency-Key."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

# Called inside the transaction, after the change, with the changed row. An exception rolls the change back.
OnCommit = Callable[[Session, Any], None]


def do_nothing(_session: Session, _row: Any) -> None:
    """The default: nothing else is committed."""
