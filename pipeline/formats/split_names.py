"""The words that name a part of a split, in folders (`valid/`, `test2017/`) and in files (`my_val`, `testlist01`)."""

import re
from functools import lru_cache

TRAINVAL = "trainval"  # of a list: the images of train and of val, without saying which is which
_WORDS = "train|val|valid|validation|dev|eval|evaluation|test"
_FOLDER = re.compile(rf"({_WORDS}|hold[-_]?out)(?:ing)?[-_]?\d{{0,4}}(?:[-_](?:set|images|imgs|data))?")
_IN_FILE = re.compile(
    rf"(?:mini|my|sub)?({_WORDS}|holdout|trainval)(?:ing)?(?:lists?|sets?|splits?|files?|images?|imgs?|ids?|names?|data)?"
)
_CANONICAL = {"valid": "val", "validation": "val", "dev": "val", "eval": "val", "evaluation": "val", "holdout": "val"}


@lru_cache(maxsize=4096)
def split_of_folder(name: str) -> str | None:
    """`Train`, `training`, `test2017` -> train, train, test; anything else -> None."""
    match = _FOLDER.fullmatch(name.lower())
    return _canonical(re.sub("[-_]", "", match[1])) if match else None


@lru_cache(maxsize=4096)
def parts_in(stem: str) -> frozenset[str]:
    """The parts that the words of a file name without its suffix name, TRAINVAL among them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).lower()
    words = re.split(r"[^a-z]+", re.sub(r"hold[-_ ]?out", "holdout", spaced))
    return frozenset(_canonical(match[1]) for word in words if (match := _IN_FILE.fullmatch(word)))


def split_of_file(stem: str) -> str | None:
    """train, val, test or TRAINVAL, by the words of a file name without its suffix; None for none or several."""
    found = parts_in(stem)
    if found == {"train", "val"}:
        return TRAINVAL
    return next(iter(found)) if len(found) == 1 else None


def _canonical(word: str) -> str:
    return _CANONICAL.get(word, word)
