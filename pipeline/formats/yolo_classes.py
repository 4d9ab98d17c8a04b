"""The class names of YOLO label files: each list is valid for its folder and what is below it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import folder_of
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.formats.class_lists import ClassList, duplicate_names
from pipeline.formats.split_names import split_of_folder

_PARALLEL = re.compile(r"(yolo[ _-]?)?(labels?|images?|imgs?|jpegimages|annotations?|txts?)", re.IGNORECASE)
Scope = tuple[str, ...]  # folders, without those that are named for labels or images


@dataclass(slots=True)
class _Group:
    """The lists of one scope, which agree; `names`: of all of them."""

    names: dict[int, str] = field(default_factory=dict)
    lists: list["_Scoped"] = field(default_factory=list)
    usable: bool = True
    used: int = 0


class _Scoped(NamedTuple):
    """`own`: label files are in its scope; else the scope was widened to the nearest folder that has some."""

    list: ClassList
    scope: Scope
    own: bool


class ClassNames:
    """`all`: one numbering of the names of all lists. `doubtful`: label files whose list is in doubt."""

    def __init__(self, lists: Iterable[ClassList], labels: Sequence[SourceFile]) -> None:
        self.findings: list[Finding] = []
        self.doubtful: set[str] = set()
        self._scopes = {folder: _scope(folder) for folder in {folder_of(file.name) for file in labels}}
        within = {scope[:end] for scope in self._scopes.values() for end in range(len(scope) + 1)} | {()}
        self._groups: dict[Scope, _Group] = {}
        for scoped in sorted((_scoped(each, within) for each in lists), key=_strongest_first):
            self._add(scoped)
        counts: dict[str, int] = defaultdict(int)
        for file in labels:
            counts[folder_of(file.name)] += 1
        self._of_folder = {folder: self._group_of(folder, counts[folder]) for folder in sorted(counts)}
        self._check_levels()
        self.doubtful = {file.name for file in labels if not self._of_folder[folder_of(file.name)].usable}
        self.all = self._numbered()

    def of(self, file: SourceFile) -> Mapping[int, str]:
        """Class number -> name for a label file; empty where the archive has only numbers."""
        return self._of_folder[folder_of(file.name)].names

    def has_numbers_of_all(self, name: str) -> bool:
        """Whether the numbers of this label file mean the same in `all`."""
        group = self._of_folder.get(folder_of(name))
        return group is None or all(self.all.get(number) == label for number, label in group.names.items())

    def _add(self, scoped: _Scoped) -> None:
        group = self._groups.setdefault(scoped.scope, _Group())
        rival = _first_rival(scoped, group.lists)
        if rival is None or not scoped.list.usable:
            group.lists.append(scoped)
            group.usable = group.usable and scoped.list.usable
            group.names = dict(scoped.list.names) | group.names
        elif scoped.list.is_template or not (scoped.own or _share_a_name(scoped.list, rival.list)):
            self.findings.append(_unused(scoped.list, rival.list))
        else:
            group.usable = False
            self.findings.append(_differs(scoped.list, rival.list))

    def _group_of(self, folder: str, files: int) -> _Group:
        """By the nearest list above; then by that of a parallel part, such as train; then by the only one there is."""
        scope = self._scopes[folder]
        found = _nearest(scope, self._groups) or self._of_parallel_part(scope)
        if found is None:
            found = self._elsewhere(folder, files)
        found.used += files
        return found

    def _of_parallel_part(self, scope: Scope) -> _Group | None:
        wanted = _without_parts(scope)
        similar = {each: group for each, group in self._groups.items() if _without_parts(each) == wanted[: len(each)]}
        groups = [group for each, group in similar.items() if len(each) == max(map(len, similar))]
        return groups[0] if groups and all(_agree(groups[0].names, group.names) for group in groups) else None

    def _elsewhere(self, folder: str, files: int) -> _Group:
        groups = list(self._groups.values())
        if not groups:
            return _Group()
        first = groups[0]
        label_files = counted(files, "label file", "label files")
        path = first.lists[0].list.file.name
        if all(_agree(first.names, group.names) for group in groups):
            detail = f"{label_files} in {folder} have no list of classes in or above their folder; this one is used."
            self.findings.append(Finding.of("class-list-elsewhere", path, detail))
            return first
        names = ", ".join(group.lists[0].list.file.name for group in groups[:5])
        detail = (
            f"{label_files} in {folder} have no list of classes in or above their folder, and others differ: {names}."
        )
        self.findings.append(Finding.of("class-list-missing", path, detail))
        return _Group(usable=False)

    def _check_levels(self) -> None:
        """A list of text below a YAML must agree with it: trainers read the YAML. So must a list without any effect."""
        without_effect: dict[str, Finding] = {}
        for scope, group in self._groups.items():
            for end in range(len(scope)):
                above = self._groups.get(scope[:end], _Group())
                for low, high in product(group.lists, above.lists):
                    if low.list.is_template or high.list.is_template or not _differ(low.list, high.list):
                        continue
                    overruled = high.list.is_yaml and not low.list.is_yaml
                    if overruled:
                        self.findings.append(_differs(low.list, high.list))
                    rivals = overruled or (not above.used and _share_a_name(low.list, high.list))
                    group.usable = group.usable and not rivals
                    if not (overruled or above.used):
                        say = _differs if rivals else _unused
                        without_effect.setdefault(high.list.file.name, say(high.list, low.list))
        self.findings += without_effect.values()

    def _numbered(self) -> dict[int, str]:
        numbers: dict[int, str] = {}
        for group in self._in_use():
            known = set(numbers.values())
            for number, name in sorted(group.names.items()):
                if name not in known:
                    numbers[number if number not in numbers else max(numbers) + 1] = name
        return numbers

    def _in_use(self) -> list[_Group]:
        return list({id(group): group for group in self._of_folder.values()}.values())

    def name_findings(self) -> Iterator[Finding]:
        """Names that two numbers have, of each list in use."""
        for group in self._in_use():
            for name in duplicate_names(group.names):
                detail = f"Two class numbers have the name {name[:100]!r}; they become one class."
                yield Finding.of("class-name-twice", group.lists[0].list.file.name, detail)


def _scope(folder: str) -> Scope:
    return tuple(part for part in folder.split("/") if part != "." and not _PARALLEL.fullmatch(part))


def _without_parts(scope: Scope) -> Scope:
    """`train` and `valid` are parallel folders of one set."""
    return tuple("*" if split_of_folder(part) else part for part in scope)


def _scoped(each: ClassList, within: set[Scope]) -> _Scoped:
    """A list in a folder without label files, such as `cfg`, is valid for the nearest folder above that has some."""
    scope = _scope(folder_of(each.file.name))
    own = scope in within
    while scope not in within:
        scope = scope[:-1]
    return _Scoped(each, scope, own)


def _strongest_first(scoped: _Scoped) -> tuple[bool, bool, bool, bool, str]:
    """Of equal names it does not matter; of others, the first is the one that is named beside each that differs."""
    each = scoped.list
    darknet = each.file.name.endswith(".labels")
    return not scoped.own, each.is_template, not each.is_yaml, darknet, each.file.name


def _nearest(scope: Scope, groups: Mapping[Scope, _Group]) -> _Group | None:
    return next((groups[scope[:end]] for end in range(len(scope), -1, -1) if scope[:end] in groups), None)


def _first_rival(scoped: _Scoped, others: Iterable[_Scoped]) -> _Scoped | None:
    return next((other for other in others if _differ(scoped.list, other.list)), None)


def _differ(left: ClassList, right: ClassList) -> bool:
    return not _agree(left.names, right.names)


def _agree(left: Mapping[int, str], right: Mapping[int, str]) -> bool:
    """One of them may name more classes: labelImg appends them."""
    return all(right.get(number, name) == name for number, name in left.items())


def _share_a_name(left: ClassList, right: ClassList) -> bool:
    """Else they are about different things, and the nearer one counts."""
    return not set(left.names.values()).isdisjoint(right.names.values())


def _differs(here: ClassList, there: ClassList) -> Finding:
    number = min(number for number, name in here.names.items() if there.names.get(number, name) != name)
    mine, other = (each.names[number][:100] for each in (here, there))
    detail = f"Class {number} is {mine!r} here and {other!r} in {there.file.name}: both are valid for the same labels."
    return Finding.of("class-lists-differ", here.file.name, detail, line=here.lines.get(number))


def _unused(here: ClassList, there: ClassList) -> Finding:
    if here.is_yaml:
        detail = f"The file names other classes than {there.file.name}, which is the one that is read."
        return Finding.of("yaml-several", here.file.name, detail)
    detail = f"The list names other classes than {there.file.name}, which is the one that is read."
    return Finding.of("class-list-unused", here.file.name, detail)
