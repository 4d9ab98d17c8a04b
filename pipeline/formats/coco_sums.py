"""COCO files that list the images of others once more: `all.json` beside the parts that it was cut into."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import normalize

from core.domain.findings import Finding
from pipeline.archive.entry_names import base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.formats.coco_json import CocoFile, CocoImage

_Entries = dict[str, CocoImage]  # by file name, with `/` as the separator


class WithoutSums(NamedTuple):
    """`files`: those to read. `doubtful`: images that two files describe differently."""

    files: list[CocoFile]
    doubtful: set[str]
    findings: list[Finding]


def without_sums(files: list[CocoFile], images: Sequence[SourceFile]) -> WithoutSums:
    """Leaves out a file whose images are those of other files: with a note where the boxes agree, else as one error.

    Only where the file names are different ones in the archive: `train/0.jpg` and `valid/0.jpg` may both be `0.jpg`.
    """
    entries = {coco.file.name: _entries(coco) for coco in files if coco.usable}
    result = WithoutSums(list(files), set(), [])
    if sum(map(len, entries.values())) == len({name for each in entries.values() for name in each}):
        return result
    bases = Counter(base_of(normalize("NFC", image.name)) for image in images)
    by_size = sorted((coco for coco in files if coco.usable), key=lambda coco: coco.file.name, reverse=True)
    by_size.sort(key=lambda coco: -len(entries[coco.file.name]))
    for coco in by_size:
        own = entries[coco.file.name]
        if any(bases[base_of(name)] > 1 for name in own):
            continue
        parts = _parts(coco, result.files, entries)
        if parts:
            result.files.remove(coco)
            _report(coco, parts, entries, images, result)
    return result


def _entries(coco: CocoFile) -> _Entries:
    return {normalize("NFC", entry.file_name).replace("\\", "/"): entry for entry in coco.images.values()}


def _parts(whole: CocoFile, files: list[CocoFile], entries: dict[str, _Entries]) -> list[CocoFile]:
    """Other files that list nothing but images of `whole`, none of them twice."""
    parts: list[CocoFile] = []
    covered: set[str] = set()
    for coco in sorted(files, key=lambda coco: coco.file.name):
        own = entries.get(coco.file.name, {}).keys()
        if coco is not whole and own and own <= entries[whole.file.name].keys() and covered.isdisjoint(own):
            parts.append(coco)
            covered |= own
    return parts


def _report(
    whole: CocoFile,
    parts: list[CocoFile],
    entries: dict[str, _Entries],
    images: Sequence[SourceFile],
    result: WithoutSums,
) -> None:
    own = entries[whole.file.name]
    names = ", ".join(part.file.name for part in parts[:5])
    shared = {name: part for part in parts for name in entries[part.file.name]}
    other = [
        name for name, part in shared.items() if _boxes(whole, own[name]) != _boxes(part, entries[part.file.name][name])
    ]
    more = len(own) - len(shared)
    if not other and not more:
        detail = f"It lists the same {counted(len(own), 'image')} with the same boxes as {names}; it is left out."
        result.findings.append(Finding.of("json-sum-left-out", whole.file.name, detail))
        return
    differences = [f"{len(other)} of them with other boxes"] if other else []
    differences += [f"and {counted(more, 'image')} more"] if more else []
    detail = f"It lists {counted(len(shared), 'image')} that {names} list too, {', '.join(differences)}."
    result.findings.append(Finding.of("json-sum-differs", whole.file.name, detail))
    bases = {base_of(name) for name in own}
    result.doubtful.update(image.name for image in images if base_of(normalize("NFC", image.name)) in bases)


def _boxes(coco: CocoFile, entry: CocoImage) -> list[tuple[str, tuple[int, ...]]]:
    return sorted((coco.names[category], (box.x1, box.y1, box.x2, box.y2)) for category, box in entry.boxes)
