"""The names of metrics and params in MLflow: legal there, and two different ones are never the same.

MLflow accepts letters, digits and `_ - . : / space`, and no name that changes when it is read as a path. Any other
character becomes `_x` + its code point in hexadecimal + `_`: the class `C++` is `C_x2B__x2B_`.
"""

import hashlib
import re
from collections.abc import Sequence

MAX_NAME = 250  # characters; MLflow's limit
_END = 40  # characters kept of the end of a name that is cut: what was measured stands there
_DIGEST = 32  # hexadecimal digits
_ILLEGAL = re.compile(r"[^\w\-. :]|_(?=x[0-9A-F]|x_\Z)")
_EMPTY = "_x_"


def metric_name(path: Sequence[str]) -> str:
    """`("test", "per_class", "a/b", "f1")` -> `test/per_class/a_x2F_b/f1`.

    A name of MAX_NAME characters or more is cut to exactly that many, with a digest of the whole name in its middle.
    A shorter name is never cut, so the two cannot meet.
    """
    name = "/".join(map(_encoded, path))
    if len(name) < MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - _END - 2]}-{digest}-{name[-_END:]}"


def _encoded(part: str) -> str:
    """One part of a path. An underscore is encoded where it would read as the start of a code."""
    if not part:
        return _EMPTY
    first = 1 if part == "." or part.startswith("..") else 0  # `.` and `..` are folders; MLflow refuses `..x` too
    return "".join(map(_code, part[:first])) + _ILLEGAL.sub(lambda found: _code(found[0]), part[first:])


def _code(char: str) -> str:
    return f"_x{ord(char):X}_"
