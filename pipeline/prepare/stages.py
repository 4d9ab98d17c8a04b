"""From an archive to checked, split and fingerprinted images: what `prepare` and `fingerprint` share."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from core.domain import limits
from core.domain.errors import DatasetRejected
from core.domain.findings import Finding, Severity
from pipeline.archive.extract import extract, is_image
from pipeline.archive.source import Rejected, SourceFile
from pipeline.dataset.model import Dataset, DatasetImage
from pipeline.dataset.near_duplicates import group_near_duplicates
from pipeline.dataset.split import SplitOptions, assign_splits
from pipeline.dataset.validate import Checked, check
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.inspect_ahead import InspectAhead
from pipeline.formats import read_dataset
from pipeline.layouts import MANIFEST_FILE, MAX_SCRATCH_BYTES
from pipeline.prepare.fingerprint import write_manifest
from pipeline.process.progress import StageReporter

CONVERTED_FILE = "converted"  # the images that were written anew, one after the other


class ExamineOptions(SplitOptions, Protocol):
    """Of PrepareOptions, what decides on a dataset. Not themselves: pydantic, too, takes 0.1 s."""

    @property
    def on_error(self) -> str: ...


class RawDataset(NamedTuple):
    """What an archive holds. `facts` belong to `dataset.items` by position."""

    dataset: Dataset
    facts: list[ImageFacts]
    findings: list[Finding]


def examine(
    archive: Path, scratch: Path, options: ExamineOptions, *, processes: int, steps: StageReporter
) -> ValidatedDataset:
    """Leaves what is extracted below `scratch`. Raises Rejected with everything found, RunCancelled, OutOfSpace."""
    return judge(read(archive, scratch, processes=processes, steps=steps), scratch, options, steps)


def judge(seen: RawDataset, scratch: Path, options: ExamineOptions, steps: StageReporter) -> ValidatedDataset:
    """Raises Rejected with everything found, RunCancelled."""
    dataset, facts, findings = seen
    kind, format_name, items = dataset.kind, dataset.format, list(dataset.items)
    count = len(items)
    dataset = replace(dataset, items=())
    del seen  # nothing else holds the items while they are checked
    checked = check(dataset, items, facts)
    findings = findings + checked.findings
    steps.stage("splitting")
    splits: dict[str, str] = {}
    phashes = ((image.sha256, image.phash) for image in checked.images)
    groups = group_near_duplicates(phashes, steps.raise_if_cancelled)
    if checked.images:
        findings = findings + list(_alike(checked.images, groups))
        splits, split_findings = assign_splits(checked.images, checked.classes, options, groups)
        findings = findings + _own_faults(split_findings, findings)
    _reject_errors(checked, findings, options)
    steps.stage("fingerprinting")
    manifest = scratch / MANIFEST_FILE
    return ValidatedDataset(
        kind=kind,
        format=format_name,
        images=checked.images,
        classes=checked.classes,
        splits=splits,
        groups=groups,
        digests=write_manifest(checked.images, checked.classes, splits, manifest, kind=kind),
        manifest=manifest,
        findings=ordered(findings),
        left_out=count - len(checked.images),
    )


def read(archive: Path, scratch: Path, *, processes: int, steps: StageReporter) -> RawDataset:
    """Images are decoded from the moment they are there, while the rest is inflated and the annotations are read.

    Leaves what is extracted below `scratch`. Raises Rejected, RunCancelled, OutOfSpace.
    """
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
    return RawDataset(dataset, facts, findings + dataset.findings)


def _images(files: list[SourceFile]) -> list[SourceFile]:
    return [file for file in files if is_image(file.name)]


def _alike(images: list[DatasetImage], groups: Mapping[str, str]) -> Iterator[Finding]:
    """A note for each image that looks like an earlier one; those of the same bytes have a note already."""
    first: dict[str, DatasetImage] = {}
    told: set[str] = set()
    for image in images:
        leader = first.setdefault(groups[image.sha256], image)
        if leader.sha256 == image.sha256 or image.sha256 in told:
            continue
        told.add(image.sha256)
        detail = f"Looks like {leader.name}: almost the same image, or one of a series."
        yield Finding.of("image-near-duplicate", image.name, detail)


def ordered(findings: list[Finding]) -> list[Finding]:
    """Errors first, then by path and line: what is kept when there are too many is what matters."""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    return sorted(findings, key=lambda finding: (rank[finding.severity], finding.path, finding.line or 0, finding.code))


def _own_faults(split_findings: list[Finding], before: list[Finding]) -> list[Finding]:
    """An error of the split is only told where it is no consequence of what is broken already."""
    broken = any(finding.severity is Severity.ERROR for finding in before)
    return [finding for finding in split_findings if not (broken and finding.severity is Severity.ERROR)]


def _reject_errors(checked: Checked, findings: list[Finding], options: ExamineOptions) -> None:
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
