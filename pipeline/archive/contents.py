"""What the files of an archive are by their names, in words: for messages about archives that cannot be read."""

from collections import Counter
from collections.abc import Iterable

from pipeline.archive.entry_names import base_of, folder_of, printable, suffix_of
from pipeline.archive.plural import counted
from pipeline.archive.unread_images import unread_kind

_ARCHIVES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"})
_PACKED = {
    ".parquet": "Parquet tables",
    ".arrow": "Arrow tables",
    ".tfrecord": "TFRecord files",
    ".tfrecords": "TFRecord files",
    ".h5": "HDF5 files",
    ".hdf5": "HDF5 files",
    ".npy": "NumPy arrays",
    ".npz": "NumPy arrays",
    ".mat": "MATLAB files",
    ".pkl": "pickled objects",
    ".mp4": "videos",
    ".avi": "videos",
    ".mov": "videos",
    ".lmdb": "LMDB databases",
    ".mdb": "LMDB databases",
    ".rec": "RecordIO files",
}
_MOST = 5  # names or kinds in a sentence


def describe_contents(names: Iterable[str]) -> str:
    """Sentences about an archive without a readable image: what it holds, and what to do. `names`: of its files."""
    files = [name for name in names if "__MACOSX" not in name.split("/") and not base_of(name).startswith(".")]
    if not files:
        return "The archive holds no files: create the ZIP again from the folder of images and annotations."
    inner = inner_archives(files)
    if len(files) == len(inner) == 1:
        return f"The archive holds one file, {_short(inner[0])}, which is an archive itself: upload that one."
    if inner:
        named = ", ".join(map(_short, inner[:_MOST]))
        more = f" and {len(inner) - _MOST} more" if len(inner) > _MOST else ""
        unpack = f"unpack {'it' if len(inner) == 1 else 'them'} into one folder, and create a ZIP of that folder"
        return f"There are no images outside of {counted(len(inner), 'inner archive')}: {named}{more}; {unpack}."
    held = f"There are no images; the archive holds {counted(len(files), 'file')}: {kinds_of(files)}."
    packed = dict.fromkeys(_PACKED[suffix] for name in files if (suffix := suffix_of(name)) in _PACKED)
    if unread := next((name for name in files if unread_kind(name)), None):
        held += f" {_short(unread)} is {unread_kind(unread)}."
    if packed:
        held += f" Not read: {', '.join(packed)}; save the images as JPEG or PNG files."
    return held


def inner_archives(names: Iterable[str]) -> list[str]:
    return [name for name in names if suffix_of(name) in _ARCHIVES]


def kinds_of(names: Iterable[str]) -> str:
    """`12 .npy, 3 .docx`: the most frequent suffixes, or whole names of files without one."""
    suffixes = Counter(suffix_of(name) or base_of(name) for name in names)
    return ", ".join(f"{count} {printable(suffix[:100])}" for suffix, count in suffixes.most_common(8))


def _short(name: str) -> str:
    return printable(name if len(name) <= 200 else f"{folder_of(name)[:80]}.../{base_of(name)[-100:]}")
