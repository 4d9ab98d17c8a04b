"""Why a model that was trained elsewhere is refused: reasons with their place in what was uploaded."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from core.domain.errors import ModelRefused
from core.domain.limits import MAX_CLASSES
from pipeline.archive.entry_names import printable

MAX_CLASS_NAME = 200  # characters
_LISTED = 20  # reasons; more of them add nothing


class Reason(NamedTuple):
    """`path`: the file in the ZIP; empty for the upload itself. `detail`: what is wrong, and what to do."""

    path: str
    detail: str


def refused(*given: Reason) -> ModelRefused:
    """`given`: at least one. What they quote of a hostile file is escaped."""
    reasons = tuple(Reason(printable(each.path), printable(each.detail)) for each in given)
    first = reasons[0]
    more = f" And {len(reasons) - 1} more." if len(reasons) > 1 else ""
    where = f"{first.path}: " if first.path else ""
    return ModelRefused(f"{where}{first.detail}{more}", reasons=[each._asdict() for each in reasons[:_LISTED]])


def checked_classes(names: Sequence[Any], path: str = "") -> tuple[str, ...]:
    """The names of the classes, in the order of the model's outputs. Raises ModelRefused."""
    if not names:
        raise refused(Reason(path, "The model has no class names."))
    if len(names) > MAX_CLASSES:
        raise refused(Reason(path, f"The model has {len(names)} classes; at most {MAX_CLASSES} are accepted."))
    unfit = next((name for name in names if not _is_name(name)), None)
    if unfit is not None:
        detail = f"{str(unfit)[:80]!r} is no class name: use printable text of 1 to {MAX_CLASS_NAME} characters."
        raise refused(Reason(path, detail))
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise refused(Reason(path, f"{count} classes are called {name!r}: give each its own name."))
    return tuple(names)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name.strip()) <= len(name) <= MAX_CLASS_NAME
