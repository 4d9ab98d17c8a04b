"""An extension, from its spec to the prepared set: read what is added -> grow -> write the ZIP -> prepare it."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from core.domain import limits
from core.domain.errors import DatasetRejected
from core.domain.findings import Finding
from pipeline.archive.disk_space import require_space
from pipeline.archive.entry_names import base_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, Rejected, SourceFile
from pipeline.dataset.growth import Additions, Correction, Grown, Revision, grow
from pipeline.dataset.validate import check
from pipeline.decode.inspect_ahead import InspectAhead
from pipeline.extension.copying import ImageCopies
from pipeline.extension.corrections import read_changes
from pipeline.extension.parent import read_parent
from pipeline.extension.write_zip import write_revision
from pipeline.formats import read_dataset
from pipeline.formats.text import read_lines, why_unread
from pipeline.hub.uploaded_tables import extract_dataset, read_plain_archive
from pipeline.index.known import find_known, read_known
from pipeline.prepare.dataset_plots import BeginPlots
from pipeline.prepare.made import MadeArchive
from pipeline.prepare.result import most_severe_first
from pipeline.prepare.run import prepare, reject_errors
from pipeline.process.child import Channel
from pipeline.process.progress import StageReporter
from pipeline.process.results import ExtendedArchive
from pipeline.process.specs import ExtendSpec

REMOVE_FILE = "darkroom-remove.txt"  # of paths, one a line, in what is added: these images are taken out


class _Read(NamedTuple):
    additions: Additions
    findings: list[Finding]


def extend(
    spec: ExtendSpec, scratch: Path, channel: Channel | None = None, begin_plots: BeginPlots | None = None
) -> ExtendedArchive:
    """Writes the ZIP `spec.prepare.archive`, and what its preparation writes, with the result of that. `begin_plots`:
    see `prepare`.

    Raises Rejected where what is added cannot be used or too little remains, and RunCancelled, PreparationFailed,
    OutOfSpace."""
    with ImageCopies(processes=spec.processes) as copies:
        extended, made = _write_zip(spec, scratch, copies, StageReporter(channel))
        steps = StageReporter(channel)
        prepare(spec.prepare, steps, made, begin_plots)
        steps.stage("copying")  # what is left, of a set that was rejected
        copies.wait(steps.tick)
    return extended


def _write_zip(
    spec: ExtendSpec, scratch: Path, copies: ImageCopies, steps: StageReporter
) -> tuple[ExtendedArchive, MadeArchive]:
    steps.stage("reading")
    (of_parent := scratch / "parent").mkdir()
    with _reading_additions(spec, scratch, steps) as additions:
        source, directory = read_plain_archive(spec.parent, of_parent, steps)
        verified = spec.verified and source == spec.parent
        parent = read_parent(
            source,
            spec.index,
            kind=spec.kind,
            classes=spec.classes,
            verified=verified,
            scratch=scratch,
            directory=directory,
        )
        known = read_known(spec.index)  # as long as the images that are added are decoded
        read = additions()
    corrections = read_changes(spec.changes) if spec.changes else {}
    steps.stage("merging")
    grown = _grown(parent.revision, read, corrections, spec, steps)
    steps.stage("writing")
    total = sum(image.source.bytes for image in grown.revision.images)
    require_space(spec.out, 2 * total)  # the ZIP, and the tar that is written while images are copied into the ZIP
    log = _log(read, grown)
    files = write_revision(grown.revision, parent, log, spec.prepare.archive, steps, copies=copies)
    extended = ExtendedArchive(
        images=len(grown.revision.images), added=grown.added, replaced=grown.replaced, left_out=grown.left_out
    )
    images = grown.revision.images
    made = MadeArchive.of(images, files=files, log=log, known=known, wait=copies.wait, wait_for=copies.wait_for)
    return extended, made


@contextmanager
def _reading_additions(spec: ExtendSpec, scratch: Path, steps: StageReporter) -> Iterator[Callable[[], _Read]]:
    """Their images are decoded while the body runs; what it yields waits for them. Raises Rejected, RunCancelled."""
    if spec.additions is None:
        yield lambda: _Read(Additions(), [])
        return
    with InspectAhead(spec.processes) as ahead:

        def inspect(files: list[SourceFile]) -> None:
            images = [file for file in files if is_image(file.name)]
            ahead.add(images, find_known(spec.index, [image.sha256 for image in images]))

        source, findings = extract_dataset(
            spec.additions,
            scratch,
            threads=spec.processes,
            steps=steps,
            each=inspect,
            keep=REMOVE_FILE,
        )
        yield lambda: _read_additions(spec, source, findings, ahead, steps)


def _read_additions(
    spec: ExtendSpec, source: ExtractedArchive, findings: list[Finding], ahead: InspectAhead, steps: StageReporter
) -> _Read:
    """Each image and its annotations, validated as those of any upload. Its images need be no dataset alone."""
    remove = _remove_list(source, findings)
    source = replace(source, files=tuple(file for file in source.files if base_of(file.name) != REMOVE_FILE))
    if not any(is_image(file.name) for file in source.files) and remove:
        return _Read(Additions(remove=remove), findings)
    options = spec.options
    classes = spec.classes if spec.kind == "classification" else ()
    dataset = read_dataset(source, findings, background=options.background, split=options.split, classes=classes)
    facts = ahead.facts([item.image for item in dataset.items], steps.tick)
    findings = findings + dataset.findings
    if dataset.kind != spec.kind:
        detail = f"The dataset is of the kind {spec.kind}; what is added is {dataset.kind} ({dataset.format})."
        raise _rejected(detail, [*findings, Finding.of("extend-kind-differs", "", detail)])
    checked = check(replace(dataset, items=()), list(dataset.items), facts, is_whole=False)
    findings = findings + checked.findings
    reject_errors(checked, findings, options)
    return _Read(Additions(checked.images, checked.classes, remove), findings)


def _remove_list(source: ExtractedArchive, findings: list[Finding]) -> list[str]:
    """Raises Rejected for a file that is no text."""
    file = next((each for each in source.files if base_of(each.name) == REMOVE_FILE), None)
    if file is None:
        return []
    lines = read_lines(file)
    if lines is None:
        why = why_unread(file)
        raise _rejected(f"{file.name}: {why.detail}", [*findings, why])
    return [unicodedata.normalize("NFC", line.strip()) for line in lines if line.strip()]


def _grown(
    before: Revision, read: _Read, corrections: dict[str, Correction], spec: ExtendSpec, steps: StageReporter
) -> Grown:
    grown = grow(
        before,
        read.additions,
        corrections,
        fractions=spec.fractions,
        seed=spec.options.seed,
        check=steps.raise_if_cancelled,
    )
    images = grown.revision.images
    findings = [*read.findings, *grown.findings]
    if len(images) < limits.MIN_IMAGES:
        detail = f"{counted(len(images), 'image')} would remain; at least {limits.MIN_IMAGES} are needed."
        raise _rejected(detail, [*findings, Finding.of("too-few-images", "", detail)])
    if not any(image.given_split == "val" for image in images):  # a preparation would make a new split of all images
        detail = "No image of the validation split would remain, and no other image may take its place."
        raise _rejected(detail, [*findings, Finding.of("split-without-val", "", detail)])
    return grown


def _log(read: _Read, grown: Grown) -> list[Finding]:
    """What was found, under the paths that the images have now."""
    renamed = {image.name: image.path for image in grown.revision.images}
    return [replace(each, path=renamed.get(each.path, each.path)) for each in (*read.findings, *grown.findings)]


def _rejected(detail: str, findings: list[Finding]) -> Rejected:
    return Rejected(DatasetRejected(detail), most_severe_first(findings))
