"""From an archive to a validated dataset: extract -> read -> validate -> split -> fingerprint.

`prepare` writes what comes out of it; `fingerprint` prints its digests.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from core.domain import limits
from core.domain.errors import DatasetRejected
from core.domain.findings import Finding, Severity
from pipeline.archive.extract import extract, is_image
from pipeline.archive.source import Rejected, SourceFile
from pipeline.dataset.model import Dataset, Item
from pipeline.dataset.near_duplicates import Groups, group_near_duplicates, near_duplicate_notes
from pipeline.dataset.split import SplitOptions, assign_splits
from pipeline.dataset.validate import Checked, check
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.inspect_ahead import InspectAhead
from pipeline.formats import read_dataset
from pipeline.layouts import MANIFEST_FILE, MAX_SCRATCH_BYTES
from pipeline.prepare.fingerprint import write_manifest
from pipeline.process.progress import StageReporter

CONVERTED_FILE = "converted"  # the images that were converted to PNG, one after the other


class ValidationOptions(SplitOptions, Protocol):
    """The fields of PrepareOptions that decide on a dataset."""

    @property
    def on_error(self) -> str: ...


class RawDataset(NamedTuple):
    """What an archive holds. `facts` belong to `items` by position; `dataset` has no items of its own."""

    dataset: Dataset
    items: list[Item]
    facts: list[ImageFacts]
    findings: list[Finding]


class DatasetSplit(NamedTuple):
    """`splits`: image path -> split; `groups`: sha256 -> name of its group of near-duplicates."""

    splits: dict[str, str]
    groups: Groups
    findings: list[Finding]


def validate_archive(
    archive: Path, scratch: Path, options: ValidationOptions, *, processes: int, steps: StageReporter
) -> ValidatedDataset:
    """Leaves the extracted files below `scratch`. Raises Rejected with everything found, RunCancelled, OutOfSpace."""
    raw = _extract_and_read(archive, scratch, processes=processes, steps=steps)
    count = len(raw.items)
    checked = check(raw.dataset, raw.items, raw.facts)  # empties both lists: there may be 100,000 items
    steps.stage("splitting")
    split = _split(checked, options, steps)
    findings = _without_consequences(raw.findings + checked.findings, split.findings)
    _reject_errors(checked, findings, options)
    steps.stage("fingerprinting")
    manifest, kind = scratch / MANIFEST_FILE, raw.dataset.kind
    return ValidatedDataset(
        kind=kind,
        format=raw.dataset.format,
        images=checked.images,
        classes=checked.classes,
        splits=split.splits,
        groups=split.groups,
        digests=write_manifest(checked.images, checked.classes, split.splits, manifest, kind=kind),
        manifest=manifest,
        findings=ordered(findings),
        left_out=count - len(checked.images),
    )


def _extract_and_read(archive: Path, scratch: Path, *, processes: int, steps: StageReporter) -> RawDataset:
    """Images are decoded from the moment they are extracted, while the rest is inflated and annotations are read."""
    with InspectAhead(processes, scratch / CONVERTED_FILE) as ahead:
        steps.stage("extracting")
        source, findings = extract(
            archive,
            scratch,
            threads=processes,
            tick=steps.tick,
            each=lambda files: ahead.add(_images(files)),
            scratch_bytes=MAX_SCRATCH_BYTES,
        )
        steps.stage("reading")
        dataset = read_dataset(source, findings)
        del source  # the annotations are read
        steps.stage("checking")
        facts = ahead.facts([item.image for item in dataset.items], steps.tick)
    return RawDataset(replace(dataset, items=()), list(dataset.items), facts, findings + dataset.findings)


def _images(files: list[SourceFile]) -> list[SourceFile]:
    return [file for file in files if is_image(file.name)]


def _split(checked: Checked, options: ValidationOptions, steps: StageReporter) -> DatasetSplit:
    phashes = ((image.sha256, image.phash) for image in checked.images)
    groups = group_near_duplicates(phashes, steps.raise_if_cancelled)
    if not checked.images:
        return DatasetSplit({}, groups, [])
    splits, findings = assign_splits(checked.images, checked.classes, options, groups)
    return DatasetSplit(splits, groups, [*near_duplicate_notes(checked.images, groups), *findings])


def _without_consequences(findings: list[Finding], of_the_split: list[Finding]) -> list[Finding]:
    """Both, but no error of the split beside another: it follows from what is broken already."""
    broken = any(finding.severity is Severity.ERROR for finding in findings)
    return findings + [each for each in of_the_split if not (broken and each.severity is Severity.ERROR)]


def _reject_errors(checked: Checked, findings: list[Finding], options: ValidationOptions) -> None:
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if not errors:
        return
    of_the_whole = [finding for finding in errors if not finding.path]
    remaining = len(checked.images) / max(1, checked.seen)
    if options.on_error == "skip" and not of_the_whole and remaining >= limits.SKIP_MIN_REMAINING:
        return
    counts = Counter(finding.code for finding in errors)
    by_code = ", ".join(f"{count} {code}" for code, count in counts.most_common())
    unusable = checked.seen - len(checked.images)
    detail = f"{unusable} of {checked.seen} images cannot be used; errors: {by_code}."
    if options.on_error == "skip" and not of_the_whole:
        detail += f" With on_error=skip at least {limits.SKIP_MIN_REMAINING:.0%} must remain."
    problem = DatasetRejected(detail, errors=dict(sorted(counts.items())), images=checked.seen, unusable=unusable)
    raise Rejected(problem, ordered(findings))


def ordered(findings: list[Finding]) -> list[Finding]:
    """Errors first, then by path and line: what is kept when there are too many is what matters."""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    return sorted(findings, key=lambda finding: (rank[finding.severity], finding.path, finding.line or 0, finding.code))
