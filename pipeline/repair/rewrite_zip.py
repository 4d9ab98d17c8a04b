"""Writes a repaired ZIP: the same images under their own paths, repaired annotations, and a log of all changes."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import cast

from core.domain import limits
from core.domain.errors import DatasetRejected
from core.domain.finding_codes import FINDING_CODES
from core.domain.findings import Finding, Severity
from pipeline.archive.extract import extract
from pipeline.archive.source import REPAIR_LOG, ExtractedArchive, Rejected
from pipeline.dataset.model import Dataset
from pipeline.decode.inspect_ahead import inspect_all
from pipeline.formats import DatasetFormat, read_dataset
from pipeline.formats.class_order import is_class_order, take_class_order
from pipeline.formats.image_roles import files_of_set
from pipeline.params.formats import CATALOGUE
from pipeline.params.prepare import Background, Split
from pipeline.process.progress import StageReporter
from pipeline.repair.fixes import Repaired, repair_items

_TIME = (1980, 1, 1, 0, 0, 0)  # of every entry: the same repair always writes the same bytes
_MODE = 0o100644 << 16
_MAX_OF_A_CODE = 20  # of what a repair does not change: the log is read up to a limit, and the changes come after


@dataclass(frozen=True, slots=True)
class RepairResult:
    """`images`: number that were kept, of those `seen` in the archive. The log lists `unchanged` and `changes`."""

    format: str
    images: int
    seen: int
    changes: list[Finding]
    unchanged: list[Finding]


def repair(
    archive: Path,
    target: Path,
    scratch: Path,
    *,
    background: Background = "auto",
    split: Split = "keep",
    processes: int,
    steps: StageReporter,
) -> RepairResult:
    """Writes `target` with the log in its root. Raises Rejected where too few images can be kept, RunCancelled.

    `background`, `split`: of the PrepareOptions with which `target` is prepared.
    """
    steps.stage("extracting")
    source, findings = extract(archive, scratch, threads=processes, tick=steps.tick)
    steps.stage("reading")
    dataset = read_dataset(source, findings, background=background, split=split)
    steps.stage("checking")
    facts = inspect_all([item.image for item in dataset.items], processes=processes, tick=steps.tick)
    repaired = repair_items(source, dataset, facts)
    _require_enough(dataset, repaired, findings)
    steps.stage("repairing")
    partial = target.with_name(f"{target.name}.part")
    unchanged = _unchanged(findings, dataset, repaired)
    changes = _write(partial, source, dataset, repaired, unchanged, steps)
    partial.replace(target)
    steps.end()
    return RepairResult(dataset.format, len(repaired.kept), len(dataset.items), changes, unchanged)


def read_log(archive: Path, name: str = REPAIR_LOG) -> list[Finding]:
    """Reads the log of a ZIP that `repair` wrote, or an extension under its name, at most MAX_FINDINGS_KEPT lines."""
    with zipfile.ZipFile(archive) as file, file.open(name) as lines:
        return [Finding.from_dict(json.loads(line)) for line in islice(lines, limits.MAX_FINDINGS_KEPT)]


def _require_enough(dataset: Dataset, repaired: Repaired, findings: list[Finding]) -> None:
    if len(repaired.kept) >= limits.MIN_IMAGES:
        return
    detail = (
        f"{len(repaired.kept)} of {len(dataset.items)} images can be kept; at least {limits.MIN_IMAGES} are needed."
    )
    problem = DatasetRejected(detail, images=len(dataset.items), unusable=len(dataset.items) - len(repaired.kept))
    raise Rejected(problem, findings + dataset.findings + repaired.changes)


def _unchanged(findings: list[Finding], dataset: Dataset, repaired: Repaired) -> list[Finding]:
    """Warnings and notes of how the archive was read, where a repair changes nothing about it; the first of each code.

    The repaired ZIP holds what was read, such as names or units, and no longer shows that it was guessed.
    """
    left_out = {item.image.name for item in dataset.items} - {item.image.name for item, *_ in repaired.kept}
    seen: Counter[str] = Counter()
    kept = []
    for finding in findings + dataset.findings:
        is_error, is_repaired = finding.severity is Severity.ERROR, bool(FINDING_CODES[finding.code].repaired)
        if is_error or is_repaired or finding.path in left_out or seen[finding.code] >= _MAX_OF_A_CODE:
            continue
        seen[finding.code] += 1
        kept.append(finding)
    return kept


def _write(
    target: Path,
    source: ExtractedArchive,
    dataset: Dataset,
    repaired: Repaired,
    unchanged: list[Finding],
    steps: StageReporter,
) -> list[Finding]:
    """Returns all changes. The log is the last entry of the ZIP: `unchanged`, then the changes."""
    writer = cast(DatasetFormat, import_module(CATALOGUE[dataset.format].module))
    written: set[str] = set()
    with zipfile.ZipFile(target, "w") as archive:
        for done, (item, *_) in enumerate(repaired.kept, start=1):
            # Image formats are compressed already.
            with archive.open(_entry(item.image.name, zipfile.ZIP_STORED), "w", force_zip64=True) as entry:
                entry.writelines(item.image.byte_range.blocks())
            written.add(item.image.name)
            steps.tick(done, len(repaired.kept))
        for name, text in _annotations(writer, source, repaired):
            if name not in written:
                archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text)
            written.add(name)
        changes = repaired.changes + list(_unused(source, dataset, repaired, written))
        lines = (json.dumps(change.as_dict(), ensure_ascii=False) + "\n" for change in unchanged + changes)
        archive.writestr(_entry(REPAIR_LOG, zipfile.ZIP_DEFLATED), "".join(lines))
    return changes


def _annotations(writer: DatasetFormat, source: ExtractedArchive, repaired: Repaired) -> Iterator[tuple[str, bytes]]:
    """Those of the images, and the order of the classes as it was."""
    rest, *_ = take_class_order(source)
    yield from writer.rewrite(files_of_set(rest).source, repaired.kept)
    yield from ((file.name, file.byte_range.read()) for file in source.files if is_class_order(file))


def _unused(source: ExtractedArchive, dataset: Dataset, repaired: Repaired, written: set[str]) -> Iterator[Finding]:
    """Files that are not in the repaired ZIP and have no change yet: notes, masks, rewritten annotations."""
    covered = {change.path for change in repaired.changes} | {item.annotation for item in dataset.items}
    for file in source.files:
        if file.name not in written and file.name not in covered:
            detail = "The file is not part of the dataset, or its content was rewritten to another file."
            yield Finding.of("repair-file-dropped", file.name, detail)


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = method
    entry.external_attr = _MODE
    entry.create_system = 3
    return entry
