"""The straight line of `prepare`: examine, write the tree, the tar, the metadata, and result.json last."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.domain.errors import PreparationFailed
from core.domain.findings import Finding, count_findings
from core.domain.limits import MAX_FINDINGS_KEPT
from pipeline.archive.disk_space import require_space
from pipeline.archive.source import Rejected
from pipeline.dataset.validated import ValidatedDataset
from pipeline.layouts import LAYOUTS, TAR_FILE, TREE_FOLDER, layout_of
from pipeline.layouts.tarball import Digest, file_digest
from pipeline.prepare.stages import validate_archive
from pipeline.process.progress import StageReporter
from pipeline.process.results import FINDINGS_FILE, METADATA_FILE, RESULT_FILE
from pipeline.process.specs import PrepareSpec
from pipeline.process.tar import unpack

_MEMBER_BYTES = 4096  # of an image in a tar or a tree besides its own: headers, padding, a label file


def prepare(spec: PrepareSpec, steps: StageReporter) -> dict[str, Any]:
    """Everything below `spec.out`; returns what result.json says. Raises RunCancelled and DarkroomErrors of ours."""
    out = spec.out
    if (out / TREE_FOLDER).exists() or (out / RESULT_FILE).exists():
        raise PreparationFailed(f"{out} holds a result already; name an empty folder.")
    started = datetime.now(UTC)
    scratch = out / "extracted"
    scratch.mkdir(parents=True)
    log = _log_in(spec.archive) if spec.repaired else []
    try:
        options = SimpleNamespace(**spec.options)
        dataset = validate_archive(spec.archive, scratch, spec.options, processes=spec.processes, steps=steps)
        result = _write(replace(dataset, findings=dataset.findings + log), spec, steps, started)
    except Rejected as rejected:
        result = rejection(Rejected(rejected.problem, rejected.findings + log), out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if spec.tree and result["tar"]:
        _unpack(out / TAR_FILE, out / TREE_FOLDER)
    write_json(out / RESULT_FILE, result)
    return result


def _log_in(archive: Path) -> list[Finding]:
    from pipeline.repair.rewrite_zip import read_log

    return read_log(archive)


def _write(done: ValidatedDataset, spec: PrepareSpec, steps: StageReporter, started: datetime) -> dict[str, Any]:
    out = spec.out
    steps.stage("drawing")
    # Not before the images are decoded: they import numpy and more, which takes as long as 200 images.
    from pipeline.prepare.gallery import draw_gallery
    from pipeline.prepare.metadata import describe

    gallery = draw_gallery(done, out, seed=spec.options.seed, processes=spec.processes, steps=steps)
    tar = None if done.digests.fingerprint in spec.live_sets else _write_set(done, spec, steps)
    source = spec.source or {"name": spec.archive.name, **file_digest(spec.archive)._asdict()}
    steps.end()
    times = {
        "started_at": started.isoformat(timespec="milliseconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": steps.seconds,
    }
    metadata = describe(done, spec.options.model_dump(), job_id=spec.job_id, source=source, times=times)
    write_json(out / METADATA_FILE, metadata)
    return {
        "outcome": "ready",
        "problem": None,
        "kind": done.kind,
        "format": done.format,
        "classes": done.classes,
        "images": len(done.images),
        **done.digests._asdict(),
        "layout_version": LAYOUTS[done.kind].version,
        "tar": tar and tar._asdict(),  # None: there already
        "gallery": gallery,
        "metadata": file_digest(out / METADATA_FILE)._asdict(),
        **_findings(done.findings, out),
    }


def _write_set(done: ValidatedDataset, spec: PrepareSpec, steps: StageReporter) -> Digest:
    """Raises OutOfSpace before it begins: only now it is known what the images that were written anew have."""
    steps.stage("writing")
    total = sum(image.written.size + _MEMBER_BYTES for image in done.images)
    beside = min(total, LAYOUTS[done.kind].scratch_bytes)
    require_space(spec.out, total + max(beside, total if spec.tree else 0))
    return layout_of(done.kind).write_set(done, spec.out, steps)


def _unpack(tar: Path, tree: Path) -> None:
    """All or nothing: the folder appears when it is whole."""
    partial = tree.with_name(f"{tree.name}.part")
    unpack(tar, partial)
    partial.replace(tree)


def rejection(rejected: Rejected, out: Path) -> dict[str, Any]:
    problem = rejected.problem
    return {
        "outcome": "rejected",
        "problem": {"slug": problem.slug, "detail": problem.detail, "facts": problem.facts},
        "kind": problem.facts.get("kind"),
        "format": problem.facts.get("format"),
        "classes": None,
        "images": None,
        "fingerprint": None,
        "content_fingerprint": None,
        "layout_version": None,
        "tar": None,
        "gallery": None,
        "metadata": None,
        **_findings(rejected.findings, out),
    }


def _findings(findings: list[Finding], out: Path) -> dict[str, Any]:
    """Write them, at most MAX_FINDINGS_KEPT; count them all."""

    with (out / FINDINGS_FILE).open("w", encoding="utf-8") as file:
        for finding in findings[:MAX_FINDINGS_KEPT]:
            file.write(json.dumps(finding.as_dict(), ensure_ascii=False) + "\n")
    return {"findings": count_findings(findings), "findings_total": len(findings)}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """All or nothing."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(path)
