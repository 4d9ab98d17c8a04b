"""The wording of invalid and unknown fields, the same for every part of a request."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_CLOSE = 0.75  # of the letters in common: `val_fracton` is `val_fraction`, `wiat` is `wait`


def reason_of(message: str) -> str:
    """A message of pydantic, without the prefix that it puts before those of our own validators."""
    return message.removeprefix("Value error, ")


def not_valid(fields: Sequence[Mapping[str, str]]) -> str:
    """The first of [{field, message}] with its reason, and how many more there are."""
    first, further = fields[0], len(fields) - 1
    sentence = f"Not valid: {first['field']}: {first['message']}"
    sentence += "" if sentence.endswith((".", "?")) else "."
    return f"{sentence} {further} more {'is' if further == 1 else 'are'} in `errors`." if further else sentence


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """`kind`: `field`, `query parameter`, ..."""
    names = sorted(known)
    if close := meant(name, names):
        return f"There is no {kind} of this name; did you mean {close!r}?"
    return f"There is no {kind} of this name" + (f"; there are {', '.join(names)}." if names else ".")


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that an unknown one is a misspelling of."""
    return next(iter(get_close_matches(name[:80].lower(), [*known], n=1, cutoff=_CLOSE)), None)
