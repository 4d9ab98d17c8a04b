"""The result of a preparation: its findings in findings.jsonl, and what result.json states."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.domain.findings import Finding, Severity, count_findings
from core.domain.limits import MAX_FINDINGS_KEPT
from pipeline.archive.source import Rejected
from pipeline.dataset.model import DatasetImage
from pipeline.dataset.validated import ValidatedDataset
from pipeline.layouts import LAYOUTS
from pipeline.layouts.tarball import Digest
from pipeline.process.results import FINDINGS_FILE, ChildProblem, FileDigest, Gallery, Prepared, Rejection


def prepared(
    dataset: ValidatedDataset, out: Path, *, tar_bytes: int | None, gallery: Gallery, metadata: Digest
) -> Prepared:
    """Writes `out/findings.jsonl`."""
    return Prepared(
        outcome="ready",
        kind=dataset.kind,
        format=dataset.format,
        classes=dataset.classes,
        images=len(dataset.images),
        **dataset.digests._asdict(),
        layout_version=LAYOUTS[dataset.kind].version,
        tar_bytes=tar_bytes,
        gallery=gallery,
        excluded=0 if dataset.exclusions is None else dataset.exclusions["images"],
        metadata=FileDigest(**metadata._asdict()),
        **_write_findings(dataset.findings, out, _images_by_file(dataset.images)),
    )


def rejection(rejected: Rejected, out: Path) -> Rejection:
    """Writes `out/findings.jsonl`."""
    problem = rejected.problem
    return Rejection(
        outcome="rejected",
        problem=ChildProblem.of(problem),
        kind=problem.facts.get("kind"),
        format=problem.facts.get("format"),
        **_write_findings(rejected.findings, out, {}),
    )


def _images_by_file(images: list[DatasetImage]) -> dict[str, str]:
    """The image that a file of the archive is, or that it alone annotates: the file's name -> the image's path."""
    annotations = Counter(image.annotation for image in images)
    of_annotations = {image.annotation: image.path for image in images if annotations[image.annotation] == 1}
    return {name: path for name, path in of_annotations.items() if name} | {image.name: image.path for image in images}


def _write_findings(findings: list[Finding], out: Path, images: Mapping[str, str]) -> dict[str, Any]:
    """At most MAX_FINDINGS_KEPT are written, each with the image it is about; all are counted."""
    with (out / FINDINGS_FILE).open("w", encoding="utf-8") as file:
        for finding in findings[:MAX_FINDINGS_KEPT]:
            image = {"image": images.get(finding.path)}
            file.write(json.dumps(finding.as_dict() | image, ensure_ascii=False) + "\n")
    return {"findings": count_findings(findings), "findings_total": sum(finding.count for finding in findings)}


def most_severe_first(findings: list[Finding]) -> list[Finding]:
    """Errors first, then by path and line: what is kept when there are too many is what matters."""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    return sorted(findings, key=lambda finding: (rank[finding.severity], finding.path, finding.line or 0, finding.code))
