"""`python -m pipeline export-version`: the command of workers that makes an export and its certificate."""

import argparse
from functools import partial
from typing import cast

from pipeline.cli.worker_command import add_arguments, run_spec
from pipeline.export.catalogue import FORMATS, ExportOptions, Format, Precision
from pipeline.json_file import write_json
from pipeline.predictor.package import CERTIFICATE_FILE
from pipeline.process.child import Channel
from pipeline.process.progress import StageReporter
from pipeline.process.results import Exported, write_result
from pipeline.process.specs import ExportSpec

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Returns 0: exported, also where the certificate did not pass; 1: failed, problem.json holds the reason."""
    spec = ExportSpec.model_validate_json(args.config.read_bytes())
    return run_spec(spec, partial(_export, spec), supervised=args.supervised)


def _export(spec: ExportSpec, channel: Channel) -> None:
    from pipeline.cli.predict import entry_of_model
    from pipeline.export.run import ComparedImages, export_model

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
