"""Cursor pagination: the cursor is the last key of the previous page, so that new rows do not shift a page."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.domain.errors import CursorInvalid

Item = TypeVar("Item")

INTEGER_MAX = 2**31 - 1  # of PostgreSQL


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: list[Item]
    next_cursor: str | None


def page_of(
    session: Session,
    statement: Select[Item],
    key: InstrumentedAttribute[Any],
    *,
    cursor: str | None,
    limit: int,
    newest_first: bool = False,
) -> Page[Item]:
    """One page ordered by `key`, which must be unique within the statement. Raises CursorInvalid."""
    if cursor:
        last = value_of_cursor(cursor, of=key.type.python_type)
        statement = statement.where(key < last if newest_first else key > last)
    statement = statement.order_by(key.desc() if newest_first else key.asc()).limit(limit + 1)
    rows = list(session.execute(statement).scalars())
    more = len(rows) > limit
    items = rows[:limit]
    return Page(items, cursor_after(getattr(items[-1], key.key)) if more else None)


def cursor_after(value: Any) -> str:
    """The cursor of the page that follows the row with this key."""
    return base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def value_of_cursor(cursor: str, *, of: type = str) -> Any:
    """What `cursor_after` got. Raises CursorInvalid."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        value = of(text)
        if not text.isprintable() or (isinstance(value, int) and abs(value) > INTEGER_MAX):
            raise ValueError("not a value of this column")
        return value
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise CursorInvalid("Use the `next_cursor` of the previous page as the cursor.", cursor=cursor[:200]) from error
