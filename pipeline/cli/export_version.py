"""`python -m pipeline export-version`: the command of workers that makes an export and its certificate."""

import argparse
import os
import sys
from pathlib import Path
from typing import cast

from core.domain.errors import OperationFailed
from pipeline.export.catalogue import FORMATS, ExportOptions, Format, Precision
from pipeline.predictor.package import CERTIFICATE_FILE
from pipeline.process.child import Channel, run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import Exported, write_result
from pipeline.process.specs import ExportSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="spec.json")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")


def main(args: argparse.Namespace) -> int:
    """Returns 0: exported, also where the certificate did not pass; 1: failed, problem.json holds the reason."""
    spec = ExportSpec.model_validate_json(args.config.read_bytes())
    status = run_child(
        spec.out,
        lambda channel: _export(spec, channel),
        supervised=args.supervised,
        crash=OperationFailed,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # without cleaning up: torch takes 0.5 s for it, of the 2 s that a cancel has
    return status


def _export(spec: ExportSpec, channel: Channel) -> None:
    from pipeline.cli.predict import entry_of_model
    from pipeline.export.run import ComparedImages, export_model, write_json

    exported = export_model(
        spec.model,
        entry_of_model(spec.model),
        spec.out / "export",
        ExportOptions(cast(Format, spec.format), cast(Precision, spec.precision), spec.nms, spec.max_drop),
        facts={"model": spec.name, "version_id": spec.version_id, "fingerprint": spec.fingerprint},
        compared=ComparedImages(spec.dataset, threads=spec.threads),
        report=StageReporter(channel),
    )
    write_json(spec.out / CERTIFICATE_FILE, exported.certificate)
    media_type = FORMATS[cast(Format, spec.format)].media_type
    passed = bool(exported.certificate["passed"])
    write_result(spec.out, Exported(file_name=exported.file.name, media_type=media_type, passed=passed))
