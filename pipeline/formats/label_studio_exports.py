"""Reads the tasks of Label Studio's exports, whether they annotate regions or whole images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pipeline.archive.entry_names import base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset
from pipeline.formats.box_limits import require_entries
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.json_stream import JsonBroken, read_elements
from pipeline.formats.label_studio_forms import done_annotations, image_name_of, task_of
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed, split_of_value
from pipeline.formats.text import WrittenNames

Annotations = list[dict[str, Any]]


@dataclass(slots=True)
class Export:
    """One file. `lost`: tasks without an image; `is_whole`: the JSON was read to its end."""

    report: Report
    listed: list[ListedImage] = field(default_factory=list)
    lost: int = 0
    is_whole: bool = True


ExportT = TypeVar("ExportT", bound=Export)


def why_none(source: ExtractedArchive, holds: Callable[[SourceFile], bool], content: str) -> str | None:
    """Why no JSON of the archive is an export that `holds` accepts, which has tasks with `content`; None if one is."""
    documents = _documents(source)
    if not documents:
        return "no JSON files in the archive."
    if not any(map(holds, documents)):
        return f"{counted(len(documents), 'JSON file')}, none with a list of tasks with {content}."
    return None


def read_exports(
    source: ExtractedArchive,
    holds: Callable[[SourceFile], bool],
    make: Callable[[Report], ExportT],
    annotate: Callable[[ExportT, ListedImage, Annotations], None],
) -> list[ExportT]:
    """`annotate` gets each image with the annotations of its task that were not skipped, at least one.

    A task that is not annotated, or skipped, states nothing about its image. Raises LimitReached.
    """
    names = {base_of(image.name) for image in images_of_set(source)}
    exports = [make(Report(file)) for file in _documents(source) if holds(file)]
    for export in exports:
        report = export.report
        try:
            for element in read_elements(report.file.byte_range.open()):
                _read_task(export, element.value, element.line, names, annotate)
        except JsonBroken as broken:
            export.is_whole = False
            report.add("json-invalid", f"The JSON cannot be read: {broken.detail}", broken.line)
    return exports


def dataset_of_exports(
    source: ExtractedArchive,
    name: str,
    kind: Literal["detection", "classification"],
    exports: Sequence[Export],
    written: WrittenNames,
) -> Dataset:
    findings = [*written.findings(), *(each for export in exports for each in export.report.findings)]
    matched = match_listed([entry for export in exports for entry in export.listed], source)
    matched.lost += sum(export.lost for export in exports)
    is_whole = all(export.is_whole for export in exports)
    return dataset_of(source, name, kind, matched, findings, is_whole=is_whole)


def _documents(source: ExtractedArchive) -> list[SourceFile]:
    return [file for file in source.files if file.name.lower().endswith(".json")]


def _read_task(
    export: ExportT,
    record: Any,
    line: int,
    names: set[str],
    annotate: Callable[[ExportT, ListedImage, Annotations], None],
) -> None:
    task = task_of(record)
    name = image_name_of(task["data"], names) if task else ""
    if task is None or not name:
        export.lost += 1
        export.report.add("json-entry-invalid", "The task has no `data` with the path of an image.", line)
        return
    done = done_annotations(task)
    if not done:
        return
    split = task["data"].get("split")
    entry = ListedImage(export.report.file, name, line, coordinates="fractions")
    entry.split = split_of_value(split) if isinstance(split, str) else None
    export.listed.append(entry)
    require_entries(export.report.file, len(export.listed), line)
    annotate(export, entry, done)
