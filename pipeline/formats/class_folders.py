"""Decides which folders are classes and which are splits, by the folder tree: a name alone is ambiguous (`test`).

A folder is a tuple of the names on its path from the archive's root.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.formats.folder_relation import IMAGE_FOLDERS
from pipeline.formats.split_names import parts_of_siblings, split_of_folder

Folder = tuple[str, ...]
STRAY = 0.1  # of all images: at most this part may be above the class folders
NO_CLASS = IMAGE_FOLDERS | {"labels", "annotations"}


@dataclass(frozen=True, slots=True)
class Assignment:
    """Class and split of the images in one folder. `folder`: the class folder, None outside of all class folders.

    `nested`: the images are in a subfolder of their class folder.
    """

    folder: Folder | None = None
    split: str | None = None
    nested: bool = False

    @property
    def label(self) -> str | None:
        return self.folder[-1] if self.folder else None


def assign_folders(counts: Mapping[Folder, int]) -> dict[Folder, Assignment]:
    """`counts`: folder -> number of images directly in it. Returns the assignment of each of these folders.

    All class folders have the same depth, not counting split folders and those named `images`: the smallest depth with
    at most STRAY of the images above it. Images in deeper folders belong to the class folder they are in.
    """
    tree = _Tree(counts)
    splits, outside, levels = _split_folders(tree)
    left_out = {*splits, *levels, *_generic_folders(tree, splits)}
    parts = {folder: [above for above in tree.path_to(folder) if above not in left_out] for folder in counts}
    depth = _class_depth({folder: len(found) for folder, found in parts.items()}, counts)
    default = "train" if splits and "train" not in splits.values() else None
    assignments: dict[Folder, Assignment] = {}
    for folder, found in parts.items():
        rest = None if levels & {*_above(folder)} else default
        split = next((splits[above] for above in _above(folder) if above in splits), rest)
        classed = depth and len(found) >= depth and not any(above in outside for above in _above(folder))
        assignments[folder] = (
            Assignment(found[depth - 1], split, len(found) > depth) if classed else Assignment(None, split)
        )
    if not splits and _only_splits(assignments):
        return dict.fromkeys(assignments, Assignment())
    return _with_nested_parts(assignments)


class _Tree:
    """Folders with images in or below them. `direct`, `total`: number of images; `children` are sorted."""

    def __init__(self, counts: Mapping[Folder, int]) -> None:
        self.direct = counts
        self.total: dict[Folder, int] = defaultdict(int)
        found: dict[Folder, set[Folder]] = defaultdict(set)
        for folder, count in counts.items():
            for above in _above(folder):
                self.total[above] += count
                if above:
                    found[above[:-1]].add(above)
        self.children = {folder: sorted(below) for folder, below in found.items()}
        self.root: Folder = ()
        while len(self.children.get(self.root, ())) == 1:  # a folder around everything
            self.root = self.children[self.root][0]

    def path_to(self, folder: Folder) -> list[Folder]:
        """The folders from below the root to `folder`, which is the last."""
        return [above for above in _above(folder) if len(above) > len(self.root)]

    def named_below(self, folder: Folder) -> set[str]:
        """The names of its subfolders, below `train/train` too; empty where most of its images are directly in it."""
        folder = [folder, *self.repeated_below(folder)][-1]
        if 2 * self.direct.get(folder, 0) >= self.total[folder]:
            return set()
        return {child[-1] for child in self.children[folder]}

    def repeated_below(self, folder: Folder) -> list[Folder]:
        """`train/train` of `train`: subfolders with its name, each the only content of the folder that it is in."""
        found: list[Folder] = []
        while not self.direct.get(folder) and self.children.get(folder) == [(*folder, folder[-1])]:
            folder = (*folder, folder[-1])
            found.append(folder)
        return found


def _above(folder: Folder) -> list[Folder]:
    """The root, ..., `folder` itself."""
    return [folder[:at] for at in range(len(folder) + 1)]


def _split_folders(tree: _Tree) -> tuple[dict[Folder, str], set[Folder], set[Folder]]:
    """(split folders, around the class folders or else inside them; folders beside them that are neither; folders that
    are not named like a part, beside one and with the same classes)."""
    splits: dict[Folder, str] = {}
    outside: set[Folder] = set()
    levels: set[Folder] = set()
    waiting: list[Folder] = [()]
    while waiting:
        children = tree.children.get(waiting.pop(), [])
        found = _splits_among(children, tree)
        splits |= found
        splits |= {below: split for child, split in found.items() for below in tree.repeated_below(child)}
        beside = [child for child in children if child not in found]
        if len(set(found.values())) > 1:
            outside.update(beside)
            continue
        classes = {name for child in found for name in tree.named_below(child)}
        level = {child for child in beside if classes & tree.named_below(child)}
        levels |= level
        waiting += [child for child in beside if child not in level]
    return splits or _splits_inside(tree), outside, levels


def _splits_among(children: list[Folder], tree: _Tree) -> dict[Folder, str]:
    """`train/cat`, `test/cat`: children named like a split with subfolders that also occur elsewhere beside them.

    All children are splits where all are named like one and one has subfolders: test is often without classes.
    """
    parts = parts_of_siblings(child[-1] for child in children)
    named = {child: parts[child[-1]] for child in children if child[-1] in parts}
    below = {child: tree.named_below(child) for child in named}
    if len(named) == len(children) and len(set(named.values())) > 1 and any(below.values()):
        return named
    held = Counter(name for names in below.values() for name in names)
    others = [child for child in children if child not in named]
    held.update({child[-1]: 2 for child in others})  # a class folder beside a split: one is enough
    held.update(name for child in others for name in tree.named_below(child))  # `val/cat`, `more/cat`
    return {child: split for child, split in named.items() if any(held[name] > 1 for name in below[child])}


def _splits_inside(tree: _Tree) -> dict[Folder, str]:
    """`cat/train`, `cat/test`: where nearly all images are in such folders, in several classes.

    Half of the images are enough where several classes have two parts each.
    """
    parents = {
        parent: {child: split_of_folder(child[-1]) for child in children} for parent, children in tree.children.items()
    }
    inside: dict[Folder, str] = {}
    classes = divided = 0
    for parent, children in parents.items():
        found = {child: split for child, split in children.items() if split and child not in tree.children}
        if len(found) == len(children) and parent != tree.root:
            inside |= found
            classes += 1
            divided += len(set(found.values())) > 1
    held = sum(tree.direct[folder] for folder in inside)
    enough = 0.5 if divided > 1 else 1 - STRAY
    return inside if classes > 1 and held >= enough * tree.total[()] else {}


def _generic_folders(tree: _Tree, splits: Mapping[Folder, str]) -> set[Folder]:
    """Folders like `cat/images/`: with a name of NO_CLASS, and the only subfolder of their parent, or in several."""
    generic = [folder for folder in tree.total if folder and folder[-1].lower() in NO_CLASS]
    parents: dict[str, set[Folder]] = defaultdict(set)
    for folder in generic:
        parent = tuple(above[-1] for above in _above(folder[:-1])[1:] if above not in splits)
        parents[folder[-1].lower()].add(parent)
    return {
        folder
        for folder in generic
        if len(parents[folder[-1].lower()]) > 1
        or (tree.children[folder[:-1]] == [folder] and not tree.direct.get(folder[:-1]))
    }


def _class_depth(depths: Mapping[Folder, int], counts: Mapping[Folder, int]) -> int:
    """0 where no image is in a folder that may be a class."""
    at: dict[int, int] = defaultdict(int)
    for folder, depth in depths.items():
        if depth:
            at[depth] += counts[folder]
    above = 0
    for depth in sorted(at):
        above += at[depth]
        if above > STRAY * sum(at.values()):
            return depth
    return 0


def _with_nested_parts(assignments: dict[Folder, Assignment]) -> dict[Folder, Assignment]:
    """`cat/test/` in the class folder `cat/`: held out, also where other classes have no such folder."""
    found: dict[Folder, str] = {}
    for folder, each in assignments.items():
        if each.folder and each.nested and each.split in (None, "train"):
            named = [split for part in folder[len(each.folder) :] if (split := split_of_folder(part))]
            if named:
                found[folder] = next((split for split in named if split in HELD_OUT_SPLITS), named[0])
    if set(found.values()) <= {"train"}:
        return assignments
    return {folder: replace(each, split=found.get(folder, each.split)) for folder, each in assignments.items()}


def _only_splits(assignments: Mapping[Folder, Assignment]) -> bool:
    """Whether all class folders are named like a split: images in `train/` and `test/`, without classes."""
    return all(split_of_folder(label) for each in assignments.values() if (label := each.label))


def empty_class_folders(assignments: Mapping[Folder, Assignment], others: Iterable[Folder]) -> list[Folder]:
    """Folders beside the class folders that have no images, sorted. `others`: all folders of the archive."""
    classes = {each.folder for each in assignments.values() if each.folder}
    labels = {folder[-1] for folder in classes}
    beside = {folder[:-1] for folder in classes}
    known = {above for folder in assignments for above in _above(folder)}
    found: dict[str, Folder] = {}
    for other in others:
        for above in _above(other)[1:]:
            if above[:-1] in beside and above not in known and _may_be_class(above[-1]) and above[-1] not in labels:
                found.setdefault(above[-1], above)
    return sorted(found.values())


def repeated_folders(
    images: Mapping[Folder, Collection[tuple[str, str]]], assignments: Mapping[Folder, Assignment]
) -> set[Folder]:
    """Folders that repeat the content of their parent, where this gives the same images another class.

    `images`: folder -> name and SHA-256 of each image directly in it; `assignments`: those of `assign_folders`.
    """
    copies = _copies(images)
    if not copies:
        return set()
    without = assign_folders({folder: len(held) for folder, held in images.items() if not copies & {*_above(folder)}})
    repeated: set[Folder] = set()
    for folder in images:
        copies_above = copies & {*_above(folder)}
        if copies_above and assignments[folder].label != without[_original(folder, copies)].label:
            repeated |= copies_above
    return repeated


def may_be_repeated(counts: Mapping[Folder, int]) -> bool:
    """A quick check by counts alone, so that `repeated_folders` is rarely needed. `counts`: as for `assign_folders`."""
    tree = _Tree(counts)
    return any(2 * tree.total[child] == tree.total[child[:-1]] for child in tree.children if child)


def _copies(images: Mapping[Folder, Collection[tuple[str, str]]]) -> set[Folder]:
    """Folders whose content is that of their parent without them, under the same names. The deepest are found first."""
    tree = _Tree({folder: len(held) for folder, held in images.items()})
    total = dict(tree.total)
    copies: set[Folder] = set()
    for child in sorted(filter(None, tree.children), key=lambda folder: (-len(folder), folder)):
        parent = child[:-1]
        if 2 * total[child] != total[parent]:
            continue
        inside = _held_below(child, tree, images, copies)
        copies.add(child)
        if inside != _held_below(parent, tree, images, copies):
            copies.remove(child)
            continue
        for above in _above(parent):
            total[above] -= len(inside)
    return copies


def _held_below(
    top: Folder, tree: _Tree, images: Mapping[Folder, Collection[tuple[str, str]]], without: set[Folder]
) -> set[tuple[Folder, str, str]]:
    """(folder relative to `top`, name, SHA-256) of each image below `top`, except in the folders `without`."""
    found: set[tuple[Folder, str, str]] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        found.update((folder[len(top) :], name, sha256) for name, sha256 in images.get(folder, ()))
        waiting += [child for child in tree.children.get(folder, ()) if child not in without]
    return found


def _original(folder: Folder, copies: set[Folder]) -> Folder:
    """`a/a/cat` -> `a/cat` where `a/a` is a copy."""
    for at in range(len(folder), 0, -1):
        if folder[:at] in copies:
            folder = folder[: at - 1] + folder[at:]
    return folder


def _may_be_class(name: str) -> bool:
    return not (name.startswith((".", "__MACOSX")) or name.lower() in NO_CLASS or split_of_folder(name))
