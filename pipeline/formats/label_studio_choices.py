"""Label Studio JSON of choices: one class for each image."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.archive.entry_names import base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.json_stream import JsonBroken, read_elements
from pipeline.formats.label_studio_forms import done_annotations, holds_choices, image_name_of, task_of
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed, split_of_value
from pipeline.formats.text import WrittenNames, class_name_fault

NAME = "label-studio-choices"


@dataclass(slots=True)
class _Export:
    report: Report
    listed: list[ListedImage] = field(default_factory=list)
    lost: int = 0
    is_whole: bool = True


def matches(source: ExtractedArchive) -> str | None:
    documents = [file for file in source.files if file.name.lower().endswith(".json")]
    if not documents:
        return "no JSON files in the archive."
    if not any(map(holds_choices, documents)):
        return f"{counted(len(documents), 'JSON file')}, none with a list of tasks with choices."
    return None


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`; a task that is not annotated states nothing about its image."""
    written = WrittenNames()
    names = {base_of(image.name) for image in images_of_set(source)}
    exports = [_Export(Report(file)) for file in source.files if file.name.lower().endswith(".json")]
    exports = [export for export in exports if holds_choices(export.report.file)]
    for export in exports:
        _read_export(export, names, written)
    matched = match_listed([entry for export in exports for entry in export.listed], source)
    matched.lost += sum(export.lost for export in exports)
    findings = [*written.findings(), *(each for export in exports for each in export.report.findings)]
    is_whole = all(export.is_whole for export in exports)
    return dataset_of(source, NAME, "classification", matched, findings, is_whole=is_whole)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    root = root_of(kept)
    tasks = []
    for number, item in enumerate((item for item, *_ in kept if item.label), start=1):
        data = {"image": item.image.name[len(root) :]} | ({"split": item.split} if item.split else {})
        result = [{"type": "choices", "from_name": "choice", "value": {"choices": [item.label]}}]
        tasks.append({"id": number, "data": data, "annotations": [{"id": number, "result": result}]})
    yield f"{root}annotations.json", json.dumps(tasks, indent=1, ensure_ascii=False).encode()


def _read_export(export: _Export, names: set[str], written: WrittenNames) -> None:
    try:
        for element in read_elements(export.report.file.byte_range.open()):
            _read_task(export, element.value, element.line, names, written)
    except JsonBroken as broken:
        export.is_whole = False
        export.report.add("json-invalid", f"The JSON cannot be read: {broken.detail}", broken.line)


def _read_task(export: _Export, record: Any, line: int, names: set[str], written: WrittenNames) -> None:
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
    choices = [choice for annotation in done for choice in _choices(annotation.get("result"))]
    label = written.clean(choices[0], export.report.file.name, line) if len(choices) == 1 else ""
    detail = f"The task of {name[:200]!r} has {counted(len(choices), 'choice')}, not one."
    fault = class_name_fault(label) if label else ("class-name-empty", detail)
    if fault:
        export.report.add(*fault, line)
        entry.usable = False
    entry.label = label or None


def _choices(results: Any) -> Iterator[str]:
    for each in results if isinstance(results, list) else ():
        value = each.get("value") if isinstance(each, dict) else None
        chosen = value.get("choices") if isinstance(value, dict) else None
        yield from (str(choice) for choice in chosen if isinstance(choice, str)) if isinstance(chosen, list) else ()
