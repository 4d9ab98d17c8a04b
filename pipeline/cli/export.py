"""`python -m pipeline export --model best.pt --out folder`: write a file that runs without the framework."""

import argparse
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.cli.config_files import ConfigInvalid, add_config, complain, read_config
from pipeline.export.catalogue import FORMATS, Format, Precision
from pipeline.params.catalogue import TrainerEntry


class ExportConfig(BaseModel):
    """The fields of the config and the arguments of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(description="best.pt, model.zip, or a folder with one of them and model.json.")
    out: Path = Field(description="A folder for the export, export.json and certificate.json.")
    format: Format = Field("onnx", description=f"One of {', '.join(FORMATS)}.")
    precision: Precision = Field(
        "fp32", description="fp32, or fp16: half the size, and differences in the third digit."
    )
    dataset: Path | None = Field(
        None,
        description="A prepared tree: then the export is compared with the model on its images, in certificate.json.",
    )
    split: str = Field("test", description="The split whose images are compared: test, val or train.")
    images: int = Field(200, ge=1, le=100_000, description="At most so many images are compared.")
    threads: int = Field(1, ge=1, le=256, description="Threads of the export while it is compared.")
    name: str = Field("", max_length=200, description="The name of the model in the description of the export.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, ExportConfig)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when exported, 1 when that failed or the certificate did not pass, 2 for a wrong config."""
    from pipeline.cli.predict import entry_of_model

    try:
        config = read_config(args, ExportConfig)
        entry = entry_of_model(config.model)
        if config.dataset is not None and not FORMATS[config.format].predicts:
            raise ConfigInvalid([f"dataset: {config.format} is only written, and not compared"])
    except (OSError, ValueError, DarkroomError) as error:
        return complain("export", args.config, error)
    try:
        return _export(config, entry)
    except (DarkroomError, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"python -m pipeline export: {error}\n")
        return 1


def _export(config: ExportConfig, entry: TrainerEntry) -> int:
    from pipeline.export.run import export_model

    facts = {"model": config.name or config.model.name, "trainer": entry.trainer.rpartition(".")[2]}
    file = export_model(config.model, entry, config.out, to=config.format, precision=config.precision, facts=facts)
    sys.stdout.write(f"{file} ({file.stat().st_size / 1e6:.1f} MB)\n")
    return 0 if config.dataset is None else _certify(config, entry, file)


def _certify(config: ExportConfig, entry: TrainerEntry, file: Path) -> int:
    from pipeline.export.certificate import CERTIFICATE_FILE, certify
    from pipeline.export.held_out import held_out_images
    from pipeline.trainers import Trainer

    trainer = cast(Trainer, import_module(entry.trainer))
    with tempfile.TemporaryDirectory(prefix="darkroom-certify-") as name:
        model = trainer.load(config.model)
        scratch = Path(name)
        images = held_out_images(cast(Path, config.dataset), config.split, at_most=config.images, scratch=scratch)
        certificate = certify(
            file,
            model,
            images,
            kind=entry.kind,
            precision=config.precision,
            threads=config.threads,
            scratch=scratch,
        )
    target = config.out / CERTIFICATE_FILE
    target.write_text(json.dumps(certificate, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join([*lines_of(certificate), str(target), ""]))
    return 0 if certificate["passed"] else 1


def lines_of(certificate: dict[str, Any]) -> list[str]:
    """A certificate for the terminal."""
    predictions, figures, times = certificate["predictions"], certificate["figures"], certificate["milliseconds"]
    change = f"{figures['change']:+.4f} ({figures['low']:+.4f} to {figures['high']:+.4f})"
    return [
        f"  equal predictions   {predictions['equal']} of {predictions['compared']}, on {certificate['images']} images",
        f"  {figures['name']:<18}  {figures['model']:.4f} -> {figures['export']:.4f}, {change}",
        f"  outputs             differ by at most {certificate['outputs']['largest']}",
        f"  ms per image        {times['model']['p50']:.1f} -> {times['export']['p50']:.1f} ({certificate['engine']})",
        "  passed" if certificate["passed"] else "  NOT PASSED",
        *(f"    {reason}" for reason in certificate["reasons"]),
    ]
