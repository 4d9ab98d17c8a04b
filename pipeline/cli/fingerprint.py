"""`python -m pipeline fingerprint data.zip`: both digests, offline, as the platform computes them.

`--diff a.zip b.zip` names the items by which two archives differ. docs/fingerprint.md describes how to recompute it.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.domain.errors import DarkroomError
from pipeline.archive.entry_names import printable
from pipeline.archive.plural import counted
from pipeline.cli.prepare_options import add_options, read_options

if TYPE_CHECKING:
    from pipeline.dataset.frozen_images import Exclusion
    from pipeline.dataset.validated import ValidatedDataset
    from pipeline.index.diff_summary import DiffSummary
    from pipeline.index.differences import Difference

EQUAL, DIFFERENT, TROUBLE = 0, 1, 2  # as diff(1) has them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("--diff", type=Path, nargs=2, metavar=("A", "B"), help="name the items that differ")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON (digests always are)")
    add_options(parser)


def main(args: argparse.Namespace) -> int:
    """0: digests, or no difference; 1: a difference, or a dataset that is rejected; 2: one of two is not readable."""
    if args.diff and not args.archive:
        return _diff(args)
    if args.diff or not args.archive:
        args.parser.error("name one ZIP, or two after --diff")
    done = _validated(args.archive, args)
    if done is None:
        return 1
    _print_json(_summary(done))
    return 0


def _diff(args: argparse.Namespace) -> int:
    sides = [_validated(archive, args) for archive in args.diff]
    first, second = sides
    if first is None or second is None:
        return TROUBLE
    if first.kind != second.kind:
        print(
            f"{args.diff[0]}: {first.kind}; {args.diff[1]}: {second.kind}: they have no annotations in common",
            file=sys.stderr,
        )
        return TROUBLE
    summary, found = _compared(first, second)
    equal = first.digests == second.digests
    if args.json:
        leaves = [difference._asdict() for difference in found]
        content = {"equal": equal, "first": _summary(first), "second": _summary(second)}
        _print_json(content | {"summary": summary.model_dump(), "differences": leaves})
    else:
        for archive, done in zip(args.diff, (first, second), strict=True):
            _print(f"{archive}: fingerprint {done.digests.fingerprint}")
        for line in _summary_lines(summary):
            _print(line)
        _print("equal" if equal else f"{counted(len(found), 'item differs', 'items differ')}:")
        for difference in found:
            _print(f"  {_line(difference)}")
    return EQUAL if equal else DIFFERENT


def _compared(first: "ValidatedDataset", second: "ValidatedDataset") -> "tuple[DiffSummary, list[Difference]]":
    """As the service compares them: from their image indexes."""
    from pipeline.index.diff import IndexedDataset, write_diff
    from pipeline.index.differences import differences
    from pipeline.index.read_diff import ComparedDatasets, read_summary
    from pipeline.index.write import index_set
    from pipeline.layouts.tarball import Place

    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
        sides = []
        for name, done in (("before", first), ("after", second)):
            index_set(done, {image.path: Place(image.path, 0, 0) for image in done.images}, Path(folder, name))
            sides.append(IndexedDataset(Path(folder, name), done.classes))
        before, after = sides
        compared = ComparedDatasets(Path(folder, "diff"), before, after)
        write_diff(before, after, compared.file)
        return read_summary(compared), list(differences(compared))


def _summary_lines(summary: "DiffSummary") -> Iterator[str]:
    images, boxes = summary.images, summary.boxes
    parts = [f"{count:,} {name}" for name, count in images.model_dump().items() if name not in ("before", "after")]
    yield f"images  {images.before:,} -> {images.after:,}: {', '.join(parts)}"
    if boxes.before or boxes.after:
        parts = [f"{getattr(boxes, name):,} {name}" for name in ("added", "removed", "changed")]
        alone = f"{boxes.in_added_images:,} in added images, {boxes.in_removed_images:,} in removed ones"
        yield f"boxes   {boxes.before:,} -> {boxes.after:,}: {', '.join(parts)} in images of both; {alone}"
    if summary.class_shift is not None:
        counts = summary.class_counts
        yield f"classes {counts.before:,} -> {counts.after:,}: shares shift by {summary.class_shift:.1%}"


def _validated(archive: Path, args: argparse.Namespace) -> "ValidatedDataset | None":
    """None: rejected or not readable; the reason is printed."""
    from pipeline.archive.source import Rejected
    from pipeline.prepare.run import validate_archive
    from pipeline.process.progress import StageReporter

    options = read_options(args)
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
            processes = args.processes or os.cpu_count() or 1
            return validate_archive(
                archive,
                Path(scratch),
                options,
                processes=processes,
                steps=StageReporter(),
                exclusion=_exclusion(args),
            )
    except Rejected as rejected:
        _complain(archive, rejected.problem)
    except (DarkroomError, OSError) as error:
        _complain(archive, error)
    return None


def _exclusion(args: argparse.Namespace) -> "Exclusion | None":
    """Ends the program with status 2 for a list that cannot be read."""
    if args.exclude is None:
        return None
    from pipeline.dataset.frozen_images import Exclusion, read_frozen_images

    parser: argparse.ArgumentParser = args.parser
    try:
        return Exclusion(read_frozen_images(args.exclude), keeps_test=args.keeps_frozen)
    except (OSError, ValueError) as error:
        parser.error(f"--exclude: {error}")


def _complain(archive: Path, error: DarkroomError | OSError) -> None:
    slug = error.slug if isinstance(error, DarkroomError) else "unreadable"
    print(f"{archive}: {slug}: {error}", file=sys.stderr)


def _summary(done: "ValidatedDataset") -> dict[str, Any]:
    return done.digests._asdict() | {"images": len(done.images), "classes": done.classes}


def _line(difference: "Difference") -> str:
    old, new = (_text(value) for value in (difference.old, difference.new))
    change = f"{old} -> {new}" if old and new else old or new
    return printable(f"{difference.item:<6} {difference.change:<18} {difference.path}  {change}")


def _text(value: Any) -> str:
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    if "id" in value:
        return printable(f"{value['class']} {value['id']}")
    if "class" in value:
        edges = ", ".join(f"{value[edge]:g}" for edge in ("x1", "y1", "x2", "y2"))
        return f"{value['class']} ({edges})" + (" difficult" if value["difficult"] else "")
    return f"{value['sha256'][:12]} {value['width']}x{value['height']}"


def _print_json(value: Any) -> None:
    _print(json.dumps(value, ensure_ascii=False, indent=2))


def _print(text: str) -> None:
    print(text)
