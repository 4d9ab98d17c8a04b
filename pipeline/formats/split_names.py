"""The words that name a part of a split, in folders (`valid/`, `test2017/`) and in files (`my_val`, `testlist01`)."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

TRAINVAL = "trainval"  # of a list: the images of train and of val, without saying which is which
_WORDS = "train|val|valid|validate|validation|dev|eval|evaluation|test"
_FOLDER = re.compile(rf"({_WORDS}|hold[-_]?out)(?:ing)?[-_]?\d{{0,4}}(?:[-_ ]?(?:set|images|imgs|data))?")
_IN_FILE = re.compile(
    rf"(?:mini|my|sub)?({_WORDS}|holdout|trainval)(?:ing)?(?:lists?|sets?|splits?|files?|images?|imgs?|ids?|names?|data)?"
)
_CANONICAL = dict.fromkeys(("valid", "validate", "validation", "dev", "eval", "evaluation", "holdout"), "val")


@lru_cache(maxsize=4096)
def split_of_folder(name: str) -> str | None:
    """`Train`, `training`, `test2017` -> train, train, test; anything else -> None."""
    match = _FOLDER.fullmatch(name.lower())
    return _canonical(re.sub("[-_]", "", match[1])) if match else None


def parts_of_siblings(names: Iterable[str]) -> dict[str, str]:
    """Name -> split, of folders in one folder: by `split_of_folder`, or where names differ in the word alone
    (`seg_train`, `seg_test`)."""
    found: dict[str, str] = {}
    similar: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        split = split_of_folder(name)
        if split:
            found[name] = split
        elif (split := split_of_file(name)) and split != TRAINVAL:
            similar["*".join(word for word in _words(name) if not _IN_FILE.fullmatch(word))][name] = split
    for group in similar.values():
        if len(set(group.values())) > 1:
            found |= group
    return found


@lru_cache(maxsize=4096)
def parts_in(stem: str) -> frozenset[str]:
    """The parts that the words of a file name without its suffix name, TRAINVAL among them."""
    return frozenset(_canonical(match[1]) for word in _words(stem) if (match := _IN_FILE.fullmatch(word)))


def split_of_file(stem: str) -> str | None:
    """train, val, test or TRAINVAL, by the words of a file name without its suffix; None for none or several."""
    found = parts_in(stem)
    if found == {"train", "val"}:
        return TRAINVAL
    return next(iter(found)) if len(found) == 1 else None


def _words(stem: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).lower()
    return re.split(r"[^a-z]+", re.sub(r"hold[-_ ]?out", "holdout", spaced))


def _canonical(word: str) -> str:
    return _CANONICAL.get(word, word)
