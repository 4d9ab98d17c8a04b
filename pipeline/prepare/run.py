"""`prepare` and `fingerprint`: extract -> read -> validate -> split -> fingerprint -> write.

`fingerprint` is `validate_archive`, without what is written. The fingerprint is the sha256 of the manifest, which
contains the split and becomes a member of the tar: so it is known before the set is written, or not, where a set of
the same fingerprint is stored already.
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from core.domain import limits
from core.domain.errors import DatasetRejected, PreparationFailed
from core.domain.finding_codes import EXTENSION_CODES, REPAIR_CODES
from core.domain.findings import Finding, FindingList, Severity
from pipeline.archive.disk_space import require_space
from pipeline.archive.extract import is_image
from pipeline.archive.source import EXTENSION_LOG, Rejected, SourceFile
from pipeline.dataset.frozen_images import Exclusion, read_frozen_images
from pipeline.dataset.model import Dataset, Item
from pipeline.dataset.near_duplicates import Groups, group_near_duplicates, near_duplicate_notes
from pipeline.dataset.split import assign_splits
from pipeline.dataset.validate import Checked, check
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.inspect_ahead import InspectAhead
from pipeline.formats import read_dataset
from pipeline.hub.uploaded_tables import extract_dataset
from pipeline.index.known import read_known
from pipeline.index.schema import INDEX_FILE
from pipeline.index.write import index_set
from pipeline.layouts import LAYOUTS, MANIFEST_FILE, MAX_SCRATCH_BYTES, TAR_FILE, TREE_FOLDER, layout_of
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.dataset_plots import BeginPlots, drawing_plots
from pipeline.prepare.fingerprint import write_manifest
from pipeline.prepare.gallery import drawing_samples
from pipeline.prepare.made import MadeArchive
from pipeline.prepare.metadata import write_metadata
from pipeline.prepare.result import most_severe_first, prepared, rejection
from pipeline.process.progress import StageReporter
from pipeline.process.results import RESULT_FILE, Gallery, Prepared, Rejection, write_result
from pipeline.process.specs import PrepareSpec
from pipeline.process.tar import unpack
from pipeline.repair.rewrite_zip import read_log

CONVERTED_FILE = "converted"  # the images that were converted to PNG, one after the other
_LOGGED = {**REPAIR_CODES, **EXTENSION_CODES}
_MEMBER_BYTES = 4096  # of an image in a tar or a tree besides its own: headers, padding, a label file


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


def prepare(
    spec: PrepareSpec,
    steps: StageReporter,
    made: MadeArchive | None = None,
    begin_plots: BeginPlots | None = None,
) -> Prepared | Rejection:
    """Write everything below `spec.out`, result.json last, and return that. Raises RunCancelled, DarkroomError.

    `made`: what this process knows of the archive, where it has just written it. `begin_plots`: of the process that
    draws them, where it is started already."""
    out = spec.out
    if (out / TREE_FOLDER).exists() or (out / RESULT_FILE).exists():
        raise PreparationFailed(f"{out} holds a result already; name an empty folder.")
    started = datetime.now(UTC)
    scratch = out / "extracted"
    scratch.mkdir(parents=True)
    log = made.log[: limits.MAX_FINDINGS_KEPT] if made else _read_log(spec)
    known = read_known(spec.known) if spec.known and not made else {}
    result: Prepared | Rejection
    try:
        with nullcontext(begin_plots) if begin_plots else drawing_plots(out, processes=spec.processes) as begin:
            dataset = validate_archive(
                spec.archive,
                scratch,
                spec.options,
                processes=spec.processes,
                steps=steps,
                known=known,
                made=made,
                exclusion=exclusion_of(spec),
            )
            dataset = replace(dataset, findings=_with_log(dataset.findings, log))
            result = _write(dataset, spec, steps, started, begin)
    except Rejected as rejected:
        result = rejection(Rejected(rejected.problem, _with_log(rejected.findings, log)), out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if spec.tree and isinstance(result, Prepared) and result.tar_bytes:
        _unpack(out / TAR_FILE, out / TREE_FOLDER)
    write_result(out, result)
    return result


def _read_log(spec: PrepareSpec) -> list[Finding]:
    if spec.extended:
        return read_log(spec.archive, EXTENSION_LOG)
    return read_log(spec.archive) if spec.repaired else []


def exclusion_of(spec: PrepareSpec) -> Exclusion | None:
    """Raises PreparationFailed for a list that cannot be read."""
    if spec.exclude is None:
        return None
    try:
        frozen = read_frozen_images(spec.exclude)
    except (OSError, ValueError) as error:
        raise PreparationFailed(f"The list of frozen test images cannot be read: {error}") from error
    return Exclusion(frozen, keeps_test=spec.keeps_frozen, generation=spec.generation)


def _with_log(findings: list[Finding], log: list[Finding]) -> list[Finding]:
    """With what a repair knew of the archive that the repaired ZIP does not show, and then with its changes."""
    codes = {finding.code for finding in findings}
    changes = [each for each in log if each.code in _LOGGED]
    unchanged = [each for each in log if each.code not in _LOGGED and each.code not in codes]
    return most_severe_first(findings + unchanged) + changes


def validate_archive(
    archive: Path,
    scratch: Path,
    options: PrepareOptions,
    *,
    processes: int,
    steps: StageReporter,
    known: Mapping[str, ImageFacts] | None = None,
    made: MadeArchive | None = None,
    exclusion: Exclusion | None = None,
) -> ValidatedDataset:
    """Without the images of `exclusion`: they have findings, and no part in classes, groups and splits.

    Leaves the extracted files below `scratch`; the archive must stay as long as they. `known`: the facts of images by
    their sha256, which are not decoded; `made`: see `prepare`. Raises Rejected with everything found,
    RunCancelled, OutOfSpace."""
    made = made or MadeArchive()
    known = made.facts or known or {}
    raw = _extract_and_read(archive, scratch, options, processes=processes, steps=steps, known=known, made=made)
    count = len(raw.items)
    if exclusion is not None and options.split != "keep":  # its own test images might get into train
        exclusion = replace(exclusion, keeps_test=False)
    checked = check(raw.dataset, raw.items, raw.facts, exclusion)  # empties both lists: there may be 100,000 items
    steps.stage("splitting")
    split = _split(checked, options, steps)
    _refuse_moved(checked, split.splits, exclusion)
    findings = _without_consequences(raw.findings + checked.findings, split.findings)
    reject_errors(checked, findings, options)
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
        findings=most_severe_first(findings),
        left_out=count - len(checked.images),
        exclusions=None if exclusion is None else exclusion.as_json(checked.excluded),
        wait_for=lambda image: made.wait_for(image.name, steps.raise_if_cancelled),
    )


def _refuse_moved(checked: Checked, splits: Mapping[str, str], exclusion: Exclusion | None) -> None:
    """Raises Rejected where a split that is not kept would train on a frozen test image that stays."""
    if exclusion is None or not exclusion.keeps_test:
        return
    moved = [image for image in checked.images if image.given_split == "test" and splits[image.path] != "test"]
    if moved:
        detail = f"{moved[0].name} is of the frozen test set and would not stay in test: the given split has no train."
        raise Rejected(DatasetRejected(detail, image=moved[0].name), checked.findings)


def _extract_and_read(
    archive: Path,
    scratch: Path,
    options: PrepareOptions,
    *,
    processes: int,
    steps: StageReporter,
    known: Mapping[str, ImageFacts],
    made: MadeArchive,
) -> RawDataset:
    """Images are decoded from the moment they are extracted, while the rest is inflated and annotations are read."""
    with InspectAhead(processes, scratch / CONVERTED_FILE, known) as ahead:

        def inspect(files: list[SourceFile]) -> None:
            images = [file for file in files if is_image(file.name)]
            if any(image.sha256 not in known for image in images):
                made.wait(steps.tick)
            ahead.add(images)

        steps.stage("extracting")
        source, findings = extract_dataset(
            archive,
            scratch,
            threads=processes,
            steps=steps,
            each=inspect,
            scratch_bytes=MAX_SCRATCH_BYTES,
            in_place=True,
            written=made.files,
        )
        steps.stage("reading")
        dataset = read_dataset(source, findings, background=options.background, split=options.split)
        del source  # the annotations are read
        steps.stage("checking")
        facts = ahead.facts([item.image for item in dataset.items], steps.tick)
    return RawDataset(replace(dataset, items=()), list(dataset.items), facts, findings + dataset.findings)


def _split(checked: Checked, options: PrepareOptions, steps: StageReporter) -> DatasetSplit:
    phashes = ((image.sha256, image.phash) for image in checked.images)
    groups = group_near_duplicates(phashes, steps.raise_if_cancelled)
    if not checked.images:
        return DatasetSplit({}, groups, [])
    splits, findings = assign_splits(checked.images, checked.classes, options, groups)
    return DatasetSplit(splits, groups, FindingList([*near_duplicate_notes(checked.images, groups), *findings]))


def _without_consequences(findings: list[Finding], of_the_split: list[Finding]) -> list[Finding]:
    """Both, but no error of the split beside another: it follows from what is broken already."""
    broken = any(finding.severity is Severity.ERROR for finding in findings)
    return findings + [each for each in of_the_split if not (broken and each.severity is Severity.ERROR)]


def reject_errors(checked: Checked, findings: list[Finding], options: PrepareOptions) -> None:
    """Raises Rejected, unless the option allows the images with errors to be left out."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if not errors:
        return
    of_the_whole = [finding for finding in errors if not finding.path]
    remaining = len(checked.images) / max(1, checked.seen)
    skippable = not of_the_whole and remaining >= limits.SKIP_MIN_REMAINING
    if options.on_error == "skip" and skippable:
        return
    counts = Counter(finding.code for finding in errors)
    by_code = ", ".join(f"{count} {code}" for code, count in counts.most_common())
    unusable = checked.seen - len(checked.images)
    detail = f"{unusable} of {checked.seen} images cannot be used; errors: {by_code}."
    if options.on_error == "skip" and not of_the_whole:
        detail += f" With on_error=skip at least {limits.SKIP_MIN_REMAINING:.0%} must remain."
    facts = {"errors": dict(sorted(counts.items())), "images": checked.seen, "unusable": unusable}
    problem = DatasetRejected(detail, **facts, skippable=skippable)
    raise Rejected(problem, most_severe_first(findings))


def _write(
    dataset: ValidatedDataset, spec: PrepareSpec, steps: StageReporter, started: datetime, begin_plots: BeginPlots
) -> Prepared:
    def check(*_: int) -> None:
        steps.raise_if_cancelled()

    steps.stage("drawing")
    plots = begin_plots(dataset)
    with drawing_samples(
        dataset, spec.out, seed=spec.options.seed, processes=spec.processes, known=spec.samples
    ) as samples:
        tar_bytes = None if dataset.digests.fingerprint in spec.live_sets else _write_set(dataset, spec, steps)
        gallery = Gallery(plots=plots(check), samples=samples(check))
    steps.end()
    metadata = write_metadata(dataset, spec, started=started, seconds=steps.seconds)
    return prepared(dataset, spec.out, tar_bytes=tar_bytes, gallery=gallery, metadata=metadata)


def _write_set(dataset: ValidatedDataset, spec: PrepareSpec, steps: StageReporter) -> int:
    """Returns the bytes of the tar. Raises OutOfSpace before: only now the sizes of converted images are known."""
    steps.stage("writing")
    total = sum(image.written.size + _MEMBER_BYTES for image in dataset.images)
    beside = min(total, LAYOUTS[dataset.kind].scratch_bytes)
    require_space(spec.out, total + max(beside, total if spec.tree else 0))
    return layout_of(dataset.kind).write_set(
        dataset, spec.out, steps, lambda places: index_set(dataset, places, spec.out / INDEX_FILE)
    )


def _unpack(tar: Path, tree: Path) -> None:
    """The folder appears whole or not at all."""
    partial = tree.with_name(f"{tree.name}.part")
    unpack(tar, partial)
    partial.replace(tree)
