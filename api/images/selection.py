"""What a request to list images selects, and the cursors of its pages."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from core.db.tables import JobRow
from core.domain.errors import CursorInvalid
from core.domain.field_errors import meant
from core.domain.finding_codes import FINDING_CODES
from core.services.context import Platform
from core.services.jobs.images import images_with_finding
from http_common.problems import invalid_fields
from pipeline.dataset.model import SPLITS
from pipeline.index.read import SORTS, Position, Selection

_NAMED = 20  # choices that a problem names
_MAX_WHOLE = 2**62
_MAX_DIGITS = 16


def selection_of(
    platform: Platform, job: JobRow, *, class_name: str | None, split: str | None, finding: str | None, sort: str
) -> Selection:
    """Raises RequestInvalid, which names the choices."""
    classes = job.classes or []
    found = sorted(job.findings or {})
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    fields = [
        *_unless_one_of("class", class_name, classes),
        *_unless_one_of("split", split, SPLITS),
        *([] if finding in FINDING_CODES else _unless_one_of("finding", finding, found)),
        *_unless_one_of("sort", column, [*SORTS], hint=" Each also descending, with a `-` in front."),
    ]
    if fields:
        raise invalid_fields(fields)
    return Selection(
        class_id=None if class_name is None else classes.index(class_name),
        split=split,
        paths=None if finding is None else images_with_finding(platform.db, job.id, finding),
        sort=column,
        descending=descending,
    )


def cursor_of(selection: Selection, end: Position | None) -> str | None:
    """The cursor of the page after `end`."""
    if end is None:
        return None
    content = json.dumps([_order(selection), *end], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def position_of(selection: Selection, cursor: str | None) -> Position | None:
    """Raises CursorInvalid, also for the cursor of a list in another order."""
    if not cursor:
        return None
    try:
        order, value, number = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if order != _order(selection) or not (_is_number(value) and _is_number(number)):
            raise ValueError("of another list")
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        detail = "Use the `next_cursor` of the previous page, with the same `sort`, as the cursor."
        raise CursorInvalid(detail, cursor=cursor[:200]) from error
    return Position(value, number)


def cursor_of_number(number: int) -> str:
    """The cursor of a list that is ordered by one number."""
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def number_of_cursor(cursor: str | None) -> int:
    """-1 for the first page. Raises CursorInvalid."""
    if not cursor:
        return -1
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if not (text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS):
            raise ValueError("no number")
    except (ValueError, binascii.Error) as error:
        raise CursorInvalid("Use the `next_cursor` of the previous page as the cursor.", cursor=cursor[:200]) from error
    return int(text)


def _unless_one_of(field: str, value: str | None, choices: Sequence[str], *, hint: str = "") -> list[dict[str, str]]:
    if value is None or value in choices:
        return []
    named = ", ".join(choices[:_NAMED]) or "none"
    more = f" and {len(choices) - _NAMED} more" if len(choices) > _NAMED else ""
    guess = meant(value, choices)
    question = f" Did you mean {guess!r}?" if guess else ""
    return [
        {
            "field": field,
            "message": f"The dataset has no {field} {value[:80]!r}; there are {named}{more}.{question}{hint}",
        }
    ]


def _order(selection: Selection) -> str:
    return f"{'-' if selection.descending else ''}{selection.sort}"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _MAX_WHOLE  # False for NaN, too
