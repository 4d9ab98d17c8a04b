"""Operations that nobody requested and nobody waits for: evaluations that were queued with their version.

Exports that were queued so are not: predictions wait for them.
"""

from sqlalchemy import ColumnElement, and_, false, func

from core.db.tables import OperationRow
from core.services.operations.kinds import EVALUATE

ON_PUBLISH = "on_publish"  # of the params


def is_automatic() -> ColumnElement[bool]:
    """Never NULL, so that it can be negated."""
    return and_(OperationRow.kind == EVALUATE, func.coalesce(OperationRow.params[ON_PUBLISH].as_boolean(), false()))
