"""Label Studio JSON of choices: one class for each image."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.label_studio_exports import Annotations, Export, dataset_of_exports, read_exports, why_none
from pipeline.formats.label_studio_forms import holds_choices
from pipeline.formats.listed import ListedImage
from pipeline.formats.text import WrittenNames, class_name_fault

NAME = "label-studio-choices"


def matches(source: ExtractedArchive) -> str | None:
    return why_none(source, holds_choices, "choices")


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`."""
    written = WrittenNames()
    exports = read_exports(source, holds_choices, Export, partial(_annotate, written))
    return dataset_of_exports(source, NAME, "classification", exports, written)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    root = root_of(kept)
    tasks = []
    for number, item in enumerate((item for item, *_ in kept if item.label), start=1):
        data = {"image": item.image.name[len(root) :]} | ({"split": item.split} if item.split else {})
        result = [{"type": "choices", "from_name": "choice", "value": {"choices": [item.label]}}]
        tasks.append({"id": number, "data": data, "annotations": [{"id": number, "result": result}]})
    yield f"{root}annotations.json", json.dumps(tasks, indent=1, ensure_ascii=False).encode()


def _annotate(written: WrittenNames, export: Export, entry: ListedImage, done: Annotations) -> None:
    choices = [choice for annotation in done for choice in _choices(annotation.get("result"))]
    label = written.clean(choices[0], entry.file.name, entry.line) if len(choices) == 1 else ""
    detail = f"The task of {entry.name[:200]!r} has {counted(len(choices), 'choice')}, not one."
    fault = class_name_fault(label) if label else ("class-name-empty", detail)
    if fault:
        export.report.add(*fault, entry.line)
        entry.usable = False
    entry.label = label or None


def _choices(results: Any) -> Iterator[str]:
    for each in results if isinstance(results, list) else ():
        value = each.get("value") if isinstance(each, dict) else None
        chosen = value.get("choices") if isinstance(value, dict) else None
        yield from (str(choice) for choice in chosen if isinstance(choice, str)) if isinstance(chosen, list) else ()
