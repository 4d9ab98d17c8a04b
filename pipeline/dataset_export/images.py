"""The images of an export: where each lies in the ZIP, and that its bytes are those of the dataset."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from core.domain.errors import OperationFailed
from pipeline.archive.entry_names import bare_of, folder_of
from pipeline.archive.source import SourceFile
from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.model import HELD_OUT_SPLITS, SPLITS
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.source import ExportSource
from pipeline.formats.split_folders import splits_by_folder
from pipeline.index.schema import IndexedImage
from pipeline.process.progress import StageReporter

Names = Mapping[str, str]  # path in the dataset -> path in the ZIP


def add_images(source: ExportSource, target: ZipWriter, names: Names, *, losses: Losses, steps: StageReporter) -> None:
    """In the order of their paths in the dataset."""
    steps.stage("writing-images")
    for done, image in enumerate(source.images(), start=1):
        digest = target.add_range(names[image.path], source.contents(image))
        check_bytes(source, image, digest, losses)
        steps.tick(done, source.count)


def check_bytes(source: ExportSource, image: IndexedImage, digest: str, losses: Losses) -> None:
    """Raises OperationFailed where the uploaded ZIP has other bytes at the place of an image."""
    if digest == image.sha256:
        return
    if source.is_original:
        detail = f"In the uploaded ZIP, {image.path} is not the image that was prepared."
        raise OperationFailed(detail, path=image.path, sha256=image.sha256)
    losses.add("bytes-changed")


def file_names(source: ExportSource, folder: str, *, key: Callable[[str], str] = str) -> dict[str, str]:
    """Path -> `folder` and the path, with the suffix of the bytes where those are not the uploaded ones.

    `key`: what must differ between two names, such as the name of a file beside each; else the later one is numbered.
    """
    written = {image.path: f"{folder}{source.path_of(image)}" for image in source.images()}
    return _numbered_doubles(written, key)


def _numbered_doubles(written: dict[str, str], key: Callable[[str], str]) -> dict[str, str]:
    counts = Counter(map(key, written.values()))
    taken = set(counts)
    first: set[str] = set()
    for path, name in written.items():
        if counts[key(name)] == 1 or key(name) not in first:
            first.add(key(name))
            continue
        written[path] = new = numbered(name, lambda other: key(other) in taken)
        taken.add(key(new))
    return written


def numbered(name: str, is_taken: Callable[[str], bool]) -> str:
    """`a~2.jpg`, or the next number that is free."""
    stem = bare_of(name)
    suffix, number = name[len(stem) :], 2
    while is_taken(found := f"{stem}~{number}{suffix}"):
        number += 1
    return found


def note_paths(names: Names, folder: str, losses: Losses) -> None:
    losses.add("paths-changed", sum(name != f"{folder}{path}" for path, name in names.items()))


def note_contradictions(source: ExportSource, names: Names, losses: Losses) -> bool:
    """Notes images that are trained on and lie in a folder that is named like a part that is held out.

    Returns whether any image lies in a folder that is named like another part than its own.
    """
    by_folder = splits_by_folder([SourceFile(name, "", 0, "") for name in names.values()])
    splits = source.splits
    others = [path for path, name in names.items() if by_folder.get(name, splits[path]) != splits[path]]
    held_out = sum(splits[path] == "train" and by_folder[names[path]] in HELD_OUT_SPLITS for path in others)
    losses.add("splits-contradict-folders", held_out)
    return bool(others)


def by_split(source: ExportSource, names: Names) -> Iterator[tuple[str, list[str]]]:
    """(split, its names in the ZIP) of each split that has images, in the order train, val, test."""
    for split in SPLITS:
        if found := [names[path] for path, part in source.splits.items() if part == split]:
            yield split, found


def split_folders(source: ExportSource, names: Names, folder: str) -> dict[str, str] | None:
    """Split -> its folder below `folder`, where each has one of its own that holds its images alone; else None."""
    found: dict[str, str] = {}
    for split, listed in by_split(source, names):
        first = {name.removeprefix(folder).partition("/")[0] for name in listed}
        if len(first) != 1 or any(folder_of(name.removeprefix(folder)) == "." for name in listed):
            return None
        found[split] = folder + first.pop()
    return found if len(set(found.values())) == len(found) else None
