"""Which files of an archive belong to the dataset: not the output of a trainer, masks, or copies with drawings.

Hidden and system folders are never extracted (`pipeline.archive.extract.can_be_data`). What lies outside the parts that
a data.yaml names is left out by the YOLO reader, as trainers do.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of, suffix_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import common_folder
from pipeline.formats.split_names import split_of_folder
from pipeline.formats.trainer_runs import TrainerRuns

_VOC_MASKS = ("segmentationclass", "segmentationobject")
_MASK_WORD = re.compile(r"trimaps?|segs?|segmentations?|groundtruth|gts?|labelmaps?|mattes?")
_MASK_FOLDERS = frozenset({"label", "labels", "annotation", "annotations", "ground_truth"})
_COPY_WORD = re.compile(
    r"pred(?:s|ict(?:ed|ions?)?)?|infer(?:ence)?|vi[sz]|visual|visuali[sz](?:ations?|ed)|overlaid|overlays?|drawn|"
    r"annotated|labell?ed|previews?|thumb(?:nail)?s?|detect(?:ed|ions?)|results?|outputs?|rendered|debug|bbox(?:es)?|"
    r"boxes|plot(?:s|ted)?"
)
_IMAGE_WORD = re.compile(
    r"images?|imgs?|photos?|jpegimages|jpe?gs?|pngs?|rgb|raw|orig(?:inals?)?|inputs?|frames?|pics?|colou?r|source|src|data"
)
_AFFIX = re.compile(
    r"^(?:pred|prediction|vis|overlay|annotated|drawn|thumb|mask)[ _-]+|"
    r"[ _-]+(?:masks?|seg|segmentation|gt|trimap|matte|labelids|label|pred|prediction|predicted|vis|overlay|annotated|"
    r"drawn|boxes|bbox|detected|detection|result|out|output|thumb|thumbnail|preview)(?:[ _-]?\d{1,3})?$",
    re.IGNORECASE,
)
_MASK_AFFIX = re.compile(r"[ _-]+(?:masks?|segmentation|trimap|matte|labelids)(?:[ _-]?\d{1,3})?$", re.IGNORECASE)
_JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
_LABELS = (".txt", ".xml")


class SetFiles(NamedTuple):
    """`source`: the archive without what is no part of the dataset; `findings`: one for each reason."""

    source: ExtractedArchive
    findings: list[Finding]


def files_of_set(source: ExtractedArchive) -> SetFiles:
    """Leaves out the output of trainers with all its files, then masks and drawn copies, which are images alone."""
    runs = TrainerRuns([*(file.name for file in source.files), *source.left_out])
    kept, of_runs = _divide(source.files, {file.name for file in source.files if runs.holds(file.name)})
    images = [file.name for file in kept if is_image(file.name)]
    roles = _Roles(images, [file.name for file in kept if file.name.lower().endswith(_LABELS)])
    kept, masks = _divide(kept, roles.masks)
    kept, copies = _divide(kept, roles.copies)
    if not any(is_image(file.name) for file in kept):  # nothing is left that these could be copies of
        return SetFiles(source, [])
    findings = [*_of_runs(of_runs), *_of_masks(masks), *_of_copies(copies)]
    return SetFiles(replace(source, files=tuple(kept)), findings)


def images_of_set(source: ExtractedArchive) -> list[SourceFile]:
    """`source`: that of `files_of_set`."""
    return [file for file in source.files if is_image(file.name)]


def _divide(files: Iterable[SourceFile], leave_out: set[str]) -> tuple[list[SourceFile], list[SourceFile]]:
    kept: list[SourceFile] = []
    left: list[SourceFile] = []
    for file in files:
        (left if file.name in leave_out else kept).append(file)
    return kept, left


def _of_runs(files: list[SourceFile]) -> Iterator[Finding]:
    images = [file.name for file in files if is_image(file.name)]
    if not images:
        return
    are = counted(len(images), "image of a trainer's output is", "images of a trainer's output are")
    yield Finding.of("runs-left-out", images[0], f"{are} left out.")
    yield from labelled_left_out(images, [file.name for file in files], "lie in the output folder of a trainer")


def _of_masks(files: list[SourceFile]) -> Iterator[Finding]:
    if files:
        left = counted(len(files), "segmentation mask was", "segmentation masks were")
        detail = f"{left} left out: masks are labels, not images to detect objects in."
        yield Finding.of("masks-left-out", files[0].name, detail)


def _of_copies(files: list[SourceFile]) -> Iterator[Finding]:
    if files:
        are = counted(len(files), "image has the name of another one and is", "images have the names of others and are")
        detail = f"{are} left out: the folder is named as predictions, drawings or previews are."
        yield Finding.of("copies-left-out", files[0].name, detail)


def labelled_left_out(images: Iterable[str], files: Iterable[str], why: str) -> Iterator[Finding]:
    """A warning where some of the `images`, which are left out, have labels among `files`. `why`: `... lie in ...`."""
    stems = {bare_of(base_of(name)) for name in files if name.lower().endswith(_LABELS)}
    labelled = [name for name in images if bare_of(base_of(name)) in stems]
    if labelled:
        detail = f"{counted(len(labelled), 'image')} with labels left out: they {why}."
        yield Finding.of("labelled-images-left-out", labelled[0], detail)


class _Roles:
    """Masks and drawn copies among images, by the names of folders and by stems that are those of other images."""

    def __init__(self, images: list[str], labels: list[str]) -> None:
        self._images = images
        self._labels = labels
        self._groups: dict[tuple[str, bool], list[str]] = defaultdict(list)  # (top folder, masks or copies)
        self._others: list[str] = []
        root = len(common_folder(images))
        for name in images:
            found = _named_folder(name[:root], folder_of(name[root:]))
            if found:
                self._groups[found].append(name)
            else:
                self._others.append(name)

    @cached_property
    def masks(self) -> set[str]:
        return self._found(masks=True) | set(_masks_beside(self._others, self._labelled))

    @cached_property
    def copies(self) -> set[str]:
        return self._found(masks=False)

    def _found(self, *, masks: bool) -> set[str]:
        if not self._others:
            return set()
        found: set[str] = set()
        for (top, of_masks), names in self._groups.items():
            if of_masks is masks and self._repeats_others(top, names, masks=masks):
                found.update(names)
        return found

    def _repeats_others(self, top: str, names: list[str], *, masks: bool) -> bool:
        if base_of(top).lower().startswith(_VOC_MASKS):
            return True
        if 2 * sum(_core(name, self._stems) is not None for name in names) < len(names):
            return False
        own = sum((base_of(top), bare_of(base_of(name))) in self._labelled for name in names)
        if 2 * own >= len(names) and base_of(top).lower() not in _MASK_FOLDERS:  # labels lie in those by nature
            return False
        return not self._is_class(top, names, masks=masks)

    def _is_class(self, top: str, names: list[str], *, masks: bool) -> bool:
        """Whether `top` is one of several folders of classes whose images have the same numbers."""
        stems = {core for name in names if (core := _core(name, self._stems))}
        beside: dict[str, set[str]] = defaultdict(set)
        above = folder_of(top)
        prefix = "" if above == "." else f"{above}/"
        for name in self._others:
            if name.startswith(prefix) and "/" in name[len(prefix) :]:
                beside[name[len(prefix) :].split("/", 1)[0]].add(bare_of(base_of(name)))
        classes = [
            name
            for name, held in beside.items()
            if not _has_word(name, _IMAGE_WORD) and not split_of_folder(name) and 2 * len(stems & held) >= len(stems)
        ]
        if len(classes) > 1:
            return True
        # One other folder: masks are rarely JPEG, since its compression changes them.
        return masks and len(classes) == 1 and all(suffix_of(name) in _JPEG for name in names)

    @cached_property
    def _stems(self) -> set[str]:
        return {bare_of(base_of(name)) for name in self._others}

    @cached_property
    def _labelled(self) -> set[tuple[str, str]]:
        """(name of a folder on the path, stem) of every label file."""
        return {(part, bare_of(base_of(name))) for name in self._labels for part in folder_of(name).split("/")}


@lru_cache(maxsize=4096)
def _named_folder(root: str, folder: str) -> tuple[str, bool] | None:
    """(the deepest folder below `root` named as masks or as copies are, whether as masks)."""
    parts = folder.split("/")
    for at in range(len(parts), 0, -1):
        if _is_named_masks(parts[at - 1]):
            return root + "/".join(parts[:at]), True
        if _has_word(parts[at - 1], _COPY_WORD):
            return root + "/".join(parts[:at]), False
    return None


def _is_named_masks(name: str) -> bool:
    lower = name.lower()
    return "mask" in lower or lower.startswith(_VOC_MASKS) or lower in _MASK_FOLDERS or _has_word(name, _MASK_WORD)


def _has_word(name: str, word: re.Pattern[str]) -> bool:
    """`trainPredictions_v2` has the words train, predictions, v2."""
    parts = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return any(map(word.fullmatch, [*parts, name.lower()]))


def _core(name: str, stems: set[str]) -> str | None:
    """The stem of the other image that this one is a mask or a copy of."""
    stem = bare_of(base_of(name))
    if stem in stems:
        return stem
    without = _AFFIX.sub("", stem)
    return without if without != stem and without in stems else None


def _masks_beside(images: list[str], labelled: set[tuple[str, str]]) -> Iterator[str]:
    """`a.jpg`, `a_mask.png`: in folders where most images have such a mask of their own."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in images:
        stem = bare_of(base_of(name))
        if (without := _MASK_AFFIX.sub("", stem)) != stem:
            found[folder_of(name)].append((name, without))
    if not found:
        return
    stems: Mapping[str, Counter[str]] = {folder: Counter() for folder in found}
    for name in images:
        if (held := stems.get(folder_of(name))) is not None:
            held[bare_of(base_of(name))] += 1
    for folder, pairs in found.items():
        masks = [(name, of) for name, of in pairs if stems[folder][of]]
        plain = stems[folder].total() - len(pairs)
        own = sum((base_of(folder), bare_of(base_of(name))) in labelled for name, _ in masks)
        if 2 * len({of for _, of in masks}) >= plain and 2 * own < len(masks):
            yield from (name for name, _ in masks)
