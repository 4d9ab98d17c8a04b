"""Which folders are classes and which are parts of a split, by how they lie: a name alone cannot tell a class `test`.

A folder is a tuple of its parts, below the archive's root.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.formats.split_names import split_of_folder

Folder = tuple[str, ...]
STRAY = 0.1  # of the images: so many may lie above the folders of classes, and those are still where most lie
NO_CLASS = frozenset({"images", "image", "imgs", "img", "labels", "annotations", "jpegimages"})


@dataclass(frozen=True, slots=True)
class Shelf:
    """What its folder says of an image. `folder` is that of its class, None outside of all; `split` None for none.

    `nested`: it lies deeper than the folder of its class.
    """

    folder: Folder | None = None
    split: str | None = None
    nested: bool = False

    @property
    def label(self) -> str | None:
        return self.folder[-1] if self.folder else None


def shelves_of(counts: Mapping[Folder, int]) -> dict[Folder, Shelf]:
    """`counts`: folder -> images that lie directly in it.

    All classes lie at one depth, after the folders of splits and those called `images` are left out: at the first one
    above which there are a few strays at most. What lies deeper counts for the class that it is in.
    """
    tree = _Tree(counts)
    splits, outside = _split_folders(tree)
    left_out = {*splits, *_silent(tree, splits)}
    parts = {folder: [above for above in tree.way_to(folder) if above not in left_out] for folder in counts}
    depth = _class_depth({folder: len(found) for folder, found in parts.items()}, counts)
    loose = "train" if splits and "train" not in splits.values() else None
    shelves: dict[Folder, Shelf] = {}
    for folder, found in parts.items():
        split = next((splits[above] for above in _above(folder) if above in splits), loose)
        classed = depth and len(found) >= depth and not any(above in outside for above in _above(folder))
        shelves[folder] = Shelf(found[depth - 1], split, len(found) > depth) if classed else Shelf(None, split)
    return shelves if splits or not _only_splits(shelves) else dict.fromkeys(shelves, Shelf())


class _Tree:
    """Folders with images in or below them. `direct` and `total`: how many; `children` are sorted."""

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
        while len(self.children.get(self.root, ())) == 1:  # folders round everything
            self.root = self.children[self.root][0]

    def way_to(self, folder: Folder) -> list[Folder]:
        """The folders below the root on the way to this one, and itself."""
        return [above for above in _above(folder) if len(above) > len(self.root)]

    def named_below(self, folder: Folder) -> set[str]:
        """The names of its folders; none where most of its images lie directly in it."""
        if 2 * self.direct.get(folder, 0) >= self.total[folder]:
            return set()
        return {child[-1] for child in self.children[folder]}


def _above(folder: Folder) -> list[Folder]:
    """The root, ..., the folder itself."""
    return [folder[:at] for at in range(len(folder) + 1)]


def _split_folders(tree: _Tree) -> tuple[dict[Folder, str], set[Folder]]:
    """Folders that are parts of a split, round the classes or else inside of them; and folders beside them that are
    neither part nor class."""
    splits: dict[Folder, str] = {}
    outside: set[Folder] = set()
    waiting: list[Folder] = [()]
    while waiting:
        children = tree.children.get(waiting.pop(), [])
        found = _splits_among(children, tree)
        splits |= found
        beside = [child for child in children if child not in found]
        if len(set(found.values())) > 1:
            outside.update(beside)
        else:
            waiting += beside
    return splits or _splits_inside(tree), outside


def _splits_among(children: list[Folder], tree: _Tree) -> dict[Folder, str]:
    """`train/cat`, `test/cat`: those called like a split that hold folders of classes, of which others are beside.

    All of them are parts where nothing else is beside and one holds folders: a test part is often without classes.
    """
    named = {child: split for child in children if (split := split_of_folder(child[-1]))}
    below = {child: tree.named_below(child) for child in named}
    if len(named) == len(children) and len(set(named.values())) > 1 and any(below.values()):
        return named
    held = Counter(name for names in below.values() for name in names)
    held.update({child[-1]: 2 for child in children if child not in named})  # beside them: one of them is enough
    return {child: split for child, split in named.items() if any(held[name] > 1 for name in below[child])}


def _splits_inside(tree: _Tree) -> dict[Folder, str]:
    """`cat/train`, `cat/test`: where nearly all images lie in such folders, in several classes."""
    parents = {
        parent: {child: split_of_folder(child[-1]) for child in children} for parent, children in tree.children.items()
    }
    inside: dict[Folder, str] = {}
    homes = 0
    for parent, children in parents.items():
        found = {child: split for child, split in children.items() if split and child not in tree.children}
        if len(found) == len(children) and parent != tree.root:
            inside |= found
            homes += 1
    held = sum(tree.direct[folder] for folder in inside)
    return inside if homes > 1 and held >= (1 - STRAY) * tree.total[()] else {}


def _silent(tree: _Tree, splits: Mapping[Folder, str]) -> set[Folder]:
    """Folders like `cat/images/`: called so, and alone in their folder, or in several classes."""
    called = [folder for folder in tree.total if folder and folder[-1].lower() in NO_CLASS]
    homes: dict[str, set[Folder]] = defaultdict(set)
    for folder in called:
        home = tuple(above[-1] for above in _above(folder[:-1])[1:] if above not in splits)
        homes[folder[-1].lower()].add(home)
    return {
        folder
        for folder in called
        if len(homes[folder[-1].lower()]) > 1
        or (tree.children[folder[:-1]] == [folder] and not tree.direct.get(folder[:-1]))
    }


def _class_depth(depths: Mapping[Folder, int], counts: Mapping[Folder, int]) -> int:
    """0 where no image lies in a folder that may be a class."""
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


def _only_splits(shelves: Mapping[Folder, Shelf]) -> bool:
    """Images in `train/` and `test/`, without classes."""
    return all(split_of_folder(label) for shelf in shelves.values() if (label := shelf.label))


def empty_beside(shelves: Mapping[Folder, Shelf], others: Iterable[Folder]) -> list[Folder]:
    """Folders among those of classes in which there is no image, by name. `others`: all folders there are."""
    classes = {shelf.folder for shelf in shelves.values() if shelf.folder}
    labels = {folder[-1] for folder in classes}
    beside = {folder[:-1] for folder in classes}
    known = {above for folder in shelves for above in _above(folder)}
    found: dict[str, Folder] = {}
    for other in others:
        for above in _above(other)[1:]:
            if above[:-1] in beside and above not in known and _may_be_class(above[-1]) and above[-1] not in labels:
                found.setdefault(above[-1], above)
    return sorted(found.values())


def doubled_in(images: Mapping[Folder, Collection[tuple[str, str]]], shelves: Mapping[Folder, Shelf]) -> set[Folder]:
    """Folders in which the one round them lies once more, where this makes other classes of the same images.

    `images`: folder -> name and SHA-256 of each that lies directly in it; `shelves`: what `shelves_of` says of them.
    """
    copies = _copies(images)
    if not copies:
        return set()
    once = shelves_of({folder: len(held) for folder, held in images.items() if not copies & {*_above(folder)}})
    doubled: set[Folder] = set()
    for folder in images:
        round_it = copies & {*_above(folder)}
        if round_it and shelves[folder].label != once[_original(folder, copies)].label:
            doubled |= round_it
    return doubled


def may_be_doubled(counts: Mapping[Folder, int]) -> bool:
    """By numbers alone, so that `doubled_in` is asked of few sets. `counts` is that of `shelves_of`."""
    tree = _Tree(counts)
    return any(2 * tree.total[child] == tree.total[child[:-1]] for child in tree.children if child)


def _copies(images: Mapping[Folder, Collection[tuple[str, str]]]) -> set[Folder]:
    """Folders with folders that hold what lies beside them, under the same names: the deepest are left out first."""
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
    """Folder below `top`, name and SHA-256 of each image that is not in one of the folders `without`."""
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
