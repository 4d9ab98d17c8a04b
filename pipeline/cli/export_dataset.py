"""`python -m pipeline export-dataset data.zip out.zip --format coco`: a dataset in another format, offline.

A worker gives an ExportDatasetSpec after `--config`.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import get_args

from core.domain.errors import DarkroomError
from pipeline.cli.prepare_options import add_options, read_options
from pipeline.cli.worker_command import run_spec
from pipeline.params.dataset_exports import Arrange, Format, require_format
from pipeline.process.child import Channel
from pipeline.process.progress import StageReporter
from pipeline.process.results import DatasetExported, write_result
from pipeline.process.specs import ExportDatasetSpec

EXPORT_FILE = "dataset.zip"  # in the child's folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("target", type=Path, nargs="?", help="the ZIP to write")
    parser.add_argument("--format", choices=get_args(Format), help="the format to write")
    parser.add_argument(
        "--arrange",
        choices=get_args(Arrange),
        default="paths",
        help="yolo, folders: keep the images at their paths, or put them into a folder of each split. Default: paths.",
    )
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0: written; 1: rejected or failed; 76: cancelled."""
    if args.config:
        spec = ExportDatasetSpec.model_validate_json(args.config.read_bytes())
        return run_spec(spec, partial(_export_for_worker, spec), supervised=args.supervised)
    if not (args.archive and args.target and args.format):
        args.parser.error("name the ZIP, the one to write, and its --format, or --config")
    return _export_by_hand(args)


def _export_for_worker(spec: ExportDatasetSpec, channel: Channel) -> None:
    """Writes the ZIP, then result.json."""
    from pipeline.dataset_export.inputs import contents_of_set, contents_of_upload
    from pipeline.dataset_export.run import export_dataset
    from pipeline.dataset_export.source import ExportSource

    steps = StageReporter(channel)
    with tempfile.TemporaryDirectory(prefix="extracted-", dir=spec.out) as scratch:
        if spec.archive is not None:
            contents = contents_of_upload(spec.archive, Path(scratch), spec.index, threads=spec.threads, steps=steps)
            spec.archive.unlink()  # extracted: its room is that of the export
        else:
            contents = contents_of_set(spec.tar or spec.out)
        source = ExportSource(
            kind=spec.kind,
            classes=spec.classes,
            fingerprint=spec.fingerprint,
            content_fingerprint=spec.content_fingerprint,
            index=spec.index,
            contents=contents,
            is_original=spec.archive is not None,
        )
        done = export_dataset(source, spec.out / EXPORT_FILE, name=spec.format, arrange=spec.arrange, steps=steps)
    write_result(spec.out, done)


def _export_by_hand(args: argparse.Namespace) -> int:
    from pipeline.archive.source import Rejected

    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-", dir=args.target.absolute().parent) as scratch:
            done = _read_and_export(args, Path(scratch))
    except Rejected as rejected:
        print(f"{rejected.problem.slug}: {rejected.problem.detail}", file=sys.stderr)
        return 1
    except (DarkroomError, OSError) as error:
        print(f"The dataset could not be exported: {error}", file=sys.stderr)
        return 1
    print(f"{done.images} images are in {args.target}")
    for loss in done.losses:
        print(f"  {loss.code}: {loss.detail}")
    return 0


def _read_and_export(args: argparse.Namespace, scratch: Path) -> DatasetExported:
    from pipeline.dataset_export.run import export_dataset
    from pipeline.dataset_export.source import ExportSource
    from pipeline.index.schema import INDEX_FILE
    from pipeline.index.write import index_set
    from pipeline.layouts.tarball import Place
    from pipeline.prepare.run import validate_archive

    steps = StageReporter(verbose=True)
    processes = args.processes or os.cpu_count() or 1
    dataset = validate_archive(args.archive, scratch, read_options(args), processes=processes, steps=steps)
    require_format(dataset.kind, args.format)
    places = {image.path: Place(image.name, image.source.at, image.source.bytes) for image in dataset.images}
    ranges = {image.path: image.source.byte_range for image in dataset.images}  # stored entries stay in the archive
    index_set(dataset, places, scratch / INDEX_FILE)
    source = ExportSource(
        kind=dataset.kind,
        classes=dataset.classes,
        **dataset.digests._asdict(),
        index=scratch / INDEX_FILE,
        contents=lambda image: ranges[image.path],
    )
    return export_dataset(source, args.target, name=args.format, arrange=args.arrange, steps=steps)
