"""The image index of a set that was prepared before there was one: from its tar alone."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from core.domain.errors import OperationFailed
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Box
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.inspect_ahead import inspect_all
from pipeline.index.schema import INDEX_FILE, IndexedImage
from pipeline.index.write import write_index
from pipeline.layouts import MANIFEST_FILE
from pipeline.layouts.arrow import arrow_rows
from pipeline.layouts.tarball import Place
from pipeline.layouts.yolo import tree_stems
from pipeline.process.progress import StageReporter
from pipeline.process.results import IndexedSet
from pipeline.process.specs import IndexSpec

_IMAGES, _ROWS = "images/", ".arrow"


def index_stored_set(spec: IndexSpec, steps: StageReporter) -> IndexedSet:
    """Write the index below `spec.out`. Raises RunCancelled, OperationFailed, OSError."""
    steps.stage("reading")
    try:
        entries, places = _read(spec.tar)
        located = [(entry, places[entry["path"]]) for entry in entries]
    except (tarfile.TarError, ValueError, KeyError) as error:
        detail = "The prepared dataset has no place for an image of its manifest, or no manifest."
        raise OperationFailed(detail, cause=f"{type(error).__name__}: {error}"[:300]) from error
    steps.stage("checking")
    files = [_file(spec.tar, entry, place) for entry, place in located]
    facts = inspect_all(files, processes=spec.processes, tick=steps.tick)
    steps.stage("writing")
    rows = (_row(entry, place, fact) for (entry, place), fact in zip(located, facts, strict=True))
    write_index(rows, spec.out / INDEX_FILE)
    return IndexedSet(images=len(located))


def _read(tar: Path) -> tuple[list[dict[str, Any]], dict[str, Place]]:
    """The images of the manifest, sorted by path, and the place of each."""
    with tarfile.open(tar, "r:") as opened:
        members = {member.name: member for member in opened if member.isfile()}
        manifest = opened.extractfile(members[MANIFEST_FILE])
        assert manifest is not None  # noqa: S101 - for the type checker: it is a file
        entries: list[dict[str, Any]] = json.load(manifest)["images"]
    rows = {name: member for name, member in members.items() if name.endswith(_ROWS)}
    return entries, dict(_places_of_rows(tar, rows) if rows else _places_of_files(entries, members))


def _places_of_files(
    entries: list[dict[str, Any]], members: Mapping[str, tarfile.TarInfo]
) -> Iterator[tuple[str, Place]]:
    """An image's name in the tree is its split and its stem; only the suffix depends on whether it was converted."""
    names = {name.rpartition(".")[0]: name for name in members if name.startswith(_IMAGES)}
    stems = tree_stems([entry["path"] for entry in entries])
    for entry in entries:
        name = names[f"{_IMAGES}{entry['split']}/{stems[entry['path']]}"]
        yield entry["path"], Place(name, members[name].offset_data, members[name].size)


def _places_of_rows(tar: Path, members: Mapping[str, tarfile.TarInfo]) -> Iterator[tuple[str, Place]]:
    for name, member in sorted(members.items()):
        for row, found in enumerate(arrow_rows(tar, start=member.offset_data)):
            yield found.path, Place(name, found.at, found.bytes, row)


def _file(tar: Path, entry: Mapping[str, Any], place: Place) -> SourceFile:
    return SourceFile(entry["path"], str(tar), place.bytes, entry["sha256"], place.at)


def _row(entry: Mapping[str, Any], place: Place, facts: ImageFacts) -> IndexedImage:
    width, height = facts.upright
    boxes = tuple(Box._make([*box[:5], bool(box[5])]) for box in entry.get("boxes", ()))
    return IndexedImage(
        path=entry["path"],
        name=place.name,
        row=place.row,
        sha256=entry["sha256"],
        phash=facts.phash,
        split=entry["split"],
        label=entry.get("label"),
        width=width,
        height=height,
        format=facts.format or PurePosixPath(place.name).suffix.lstrip(".").upper(),
        at=place.at,
        bytes=place.bytes,
        brightness=facts.brightness,
        blur=facts.blur,
        box_count=len(boxes),
        boxes=boxes,
    )
