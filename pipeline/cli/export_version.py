"""`python -m pipeline export-version`: the command of workers that makes an export and its certificate."""

import argparse
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import cast

from core.domain.errors import TrainerCrashed
from pipeline.process.child import Channel, run_child
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
        crash=TrainerCrashed,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # without cleaning up: torch takes 0.5 s for it, of the 2 s that a cancel has
    return status


def _export(spec: ExportSpec, channel: Channel) -> None:
    from pipeline.cli.predict import entry_of_model
    from pipeline.export.certificate import CERTIFICATE_FILE, certify
    from pipeline.export.held_out import held_out_images
    from pipeline.export.run import export_model
    from pipeline.trainers import Trainer

    entry = entry_of_model(spec.model)
    channel.stage("exporting")
    facts = {"model": spec.name, "version_id": spec.version_id, "fingerprint": spec.fingerprint}
    made = spec.out / "export"
    file = export_model(spec.model, entry, made, to=spec.format, precision=spec.precision, facts=facts)  # type: ignore[arg-type]
    certificate = {"schema": 1, "passed": False, "reasons": ["There is no dataset to compare it on."]}
    if spec.dataset is not None:
        channel.stage("certifying")
        scratch = spec.out / "scratch"
        scratch.mkdir()
        trainer = cast(Trainer, import_module(entry.trainer))
        images = held_out_images(spec.dataset, "test", at_most=200, scratch=scratch)
        certificate = certify(
            file,
            trainer.load(spec.model),
            images,
            kind=entry.kind,
            precision=spec.precision,  # type: ignore[arg-type]
            threads=spec.threads,
            scratch=scratch,
        )
    (spec.out / CERTIFICATE_FILE).write_text(json.dumps(certificate), encoding="utf-8")
    result = Exported(file_name=file.name, media_type="application/octet-stream", passed=bool(certificate["passed"]))
    write_result(spec.out, result)
