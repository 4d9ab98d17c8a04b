"""Splits given by the names of folders (`train/`, `valid/`, `images/test2017/`)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from core.domain.findings import Finding
from pipeline.archive.entry_names import folder_of
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import HELD_OUT_SPLITS, common_folder
from pipeline.formats.folder_relation import IMAGE_FOLDERS
from pipeline.formats.split_names import parts_of_siblings

_Folder = tuple[str, ...]  # the names below the common folder of all images
_MAX_NAMED = 5  # folders in one message


def splits_by_folder(images: Sequence[SourceFile]) -> dict[str, str]:
    """Image name -> split, by the folders below that of all images; a `train/` around everything is none of them.

    Of several levels one counts whose folders name different parts (`dev/train/`, `dev/test/`); an image that any of
    these levels holds out is held out.
    """
    below = _below_root([image.name for image in images])
    beside = _parts_beside(below.values())
    found = {folder: _split_of(parts, beside) for folder, parts in below.items()}
    return {image.name: split for image in images if (split := found[folder_of(image.name)])}


def unknown_folders(names: Sequence[str], undecided: Iterable[str]) -> list[Finding]:
    """A warning that names the folders beside one named like a part that hold images of no part.

    `names`: of all images; `undecided`: those of no part. `images/` beside `test/` is what that was taken from, and is
    not among them.
    """
    below = _below_root(names)
    beside = _parts_beside(below.values())
    root = common_folder(list(names))
    found: set[str] = set()
    for folder in {folder_of(name) for name in undecided}:
        parts = below[folder]
        for at, part in enumerate(parts):
            named = beside.get(parts[:at])
            if named and not (part.lower() in IMAGE_FOLDERS and "train" not in named.values()):
                found.add(root + "/".join(parts[: at + 1]))
                break
    if not found:
        return []
    first, *others = sorted(found)
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    detail = (
        f"{', '.join([first, *others][:_MAX_NAMED])}{more}: beside folders of a split, but not named like a part of "
    )
    detail += "one (train, val, test)."
    return [Finding.of("split-folder-unknown", first, detail)]


def _below_root(names: Sequence[str]) -> dict[str, _Folder]:
    """Folder -> its names below the folder of all images."""
    skipped = common_folder(list(names)).count("/")
    folders = dict.fromkeys(map(folder_of, names))
    return {folder: tuple(folder.split("/")[skipped:]) if folder != "." else () for folder in folders}


def _parts_beside(folders: Iterable[_Folder]) -> dict[_Folder, dict[str, str]]:
    """Folder -> those of its subfolders that are named like a part, where there are any -> the part."""
    children: dict[_Folder, dict[str, None]] = defaultdict(dict)
    for folder in folders:
        for at, name in enumerate(folder):
            children[folder[:at]][name] = None
    found = {folder: parts_of_siblings(names) for folder, names in children.items()}
    return {folder: parts for folder, parts in found.items() if parts}


def _split_of(folder: _Folder, beside: Mapping[_Folder, Mapping[str, str]]) -> str | None:
    at_levels = [(at, beside.get(folder[:at], {})) for at in range(len(folder))]
    named = [(at, parts[folder[at]], len(set(parts.values()))) for at, parts in at_levels if folder[at] in parts]
    if not named:
        return None
    sure = next((at for at, _, different in named if different > 1), 0)  # `dev/train/`: dev is the name of the set
    return next((split for at, split, _ in named if at >= sure and split in HELD_OUT_SPLITS), "train")
