"""The classes of a model and those of a dataset, matched by name.

Equal names first. Of the rest, names that are equal without case and without the blanks, hyphens and underscores
between their letters, where each side has exactly one such name. "-1" and "1", "1-1" and "11", "A-" and "A" differ.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import NoSharedClass

_NAMED = 10  # classes of either side in a refusal
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s_-]+(?=\d)")
_BETWEEN_OTHERS = re.compile(r"(?<=[^\s\d_-])[\s_-]+(?=[^\s_-])|(?<=\d)[\s_-]+(?=[^\s\d_-])")


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """`pairs`: index in `dataset` and index in `model` of each shared class, in the order of the dataset."""

    dataset: tuple[str, ...]
    model: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def shared(self) -> tuple[str, ...]:
        """As the dataset calls them."""
        return tuple(self.dataset[ours] for ours, _ in self.pairs)

    @property
    def missing(self) -> tuple[str, ...]:
        """Classes of the dataset that the model does not have."""
        known = {ours for ours, _ in self.pairs}
        return tuple(name for index, name in enumerate(self.dataset) if index not in known)

    @property
    def extra(self) -> tuple[str, ...]:
        """Classes of the model that the dataset does not have."""
        known = {theirs for _, theirs in self.pairs}
        return tuple(name for index, name in enumerate(self.model) if index not in known)

    @property
    def respelt(self) -> tuple[tuple[str, str], ...]:
        """Name in the dataset and name in the model of each shared class whose names differ."""
        names = ((self.dataset[ours], self.model[theirs]) for ours, theirs in self.pairs)
        return tuple((ours, theirs) for ours, theirs in names if ours != theirs)

    def of_dataset(self) -> NDArray[np.intp]:
        """(classes of the dataset,): the index among the shared ones, -1 for a missing one."""
        return _places([ours for ours, _ in self.pairs], len(self.dataset))

    def of_model(self) -> NDArray[np.intp]:
        """(classes of the model,): the index among the shared ones, -1 for an extra one."""
        return _places([theirs for _, theirs in self.pairs], len(self.model))

    def as_json(self) -> dict[str, Any]:
        """`counts`: how many there are of each, also where an answer lists the first ones alone."""
        respelt = [{"dataset": ours, "model": theirs} for ours, theirs in self.respelt]
        listed: dict[str, list[Any]] = {
            "compared": list(self.shared),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "respelt": respelt,
        }
        return {**listed, "counts": {name: len(values) for name, values in listed.items()}}


def match_classes(dataset: Sequence[str], model: Sequence[str]) -> ClassMatch:
    """Raises NoSharedClass."""
    there = {name: index for index, name in enumerate(model)}
    found = {index: there[name] for index, name in enumerate(dataset) if name in there}
    left = [index for index in range(len(dataset)) if index not in found]
    others = [index for index in range(len(model)) if index not in set(found.values())]
    spellings = _unique((_plain(model[index]), index) for index in others)
    for plain, index in _unique((_plain(dataset[index]), index) for index in left).items():
        if plain in spellings:
            found[index] = spellings[plain]
    if not found:
        raise NoSharedClass(
            f"The model knows {_listed(model)}; the dataset has {_listed(dataset)}: no class is in both.",
            model=list(model[:_NAMED]),
            dataset=list(dataset[:_NAMED]),
        )
    return ClassMatch(tuple(dataset), tuple(model), tuple(sorted(found.items())))


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    joined = _BETWEEN_OTHERS.sub("", _BETWEEN_DIGITS.sub(" ", folded))
    return joined.strip(" _")


def _unique(named: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Without the names that occur twice."""
    found: dict[str, list[int]] = {}
    for name, index in named:
        found.setdefault(name, []).append(index)
    return {name: indices[0] for name, indices in found.items() if len(indices) == 1 and name}


def _places(indices: Sequence[int], size: int) -> NDArray[np.intp]:
    places = np.full(size, -1, np.intp)
    places[list(indices)] = np.arange(len(indices))
    return places


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
