"""`python -m pipeline export --model best.pt --out folder`: write a file that runs without the framework."""

import argparse
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.cli.config_files import add_config, complain, read_config
from pipeline.export.catalogue import FORMATS, ExportOptions, Format, Nms, Precision
from pipeline.json_file import write_json
from pipeline.params.catalogue import TrainerEntry
from pipeline.predictor.package import ABOUT_FILE, CERTIFICATE_FILE
from pipeline.process.progress import StageReporter


class ExportConfig(BaseModel):
    """The fields of the config and the arguments of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(description="best.pt, model.zip, or a folder with one of them and model.json.")
    out: Path = Field(description="A folder for the export, export.json and certificate.json.")
    format: Format = Field("onnx", description=f"One of {', '.join(FORMATS)}.")
    precision: Precision = Field(
        "fp32",
        description="fp32; fp16: differences in the third digit; bf16: OpenVINO, half of the time on processors "
        "that compute in it; int8: calibrated on training images.",
    )
    nms: Nms = Field("outside", description="inside: suppression of boxes is a part of the file. Detectors only.")
    max_drop: float | None = Field(
        None, ge=0, le=1, description="int8: the most that mAP50-95 or accuracy may fall; 0.01 if it is empty."
    )
    dataset: Path | None = Field(
        None,
        description="A prepared tree, on whose images the export is compared with the model; int8 needs it. "
        "Empty: images made on the spot, whose outputs alone are compared.",
    )
    split: Literal["test", "val", "train"] | None = Field(
        None, description="The split whose images are compared. Empty: test, else val, else train."
    )
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
    except (OSError, ValueError, DarkroomError) as error:
        return complain("export", args.config, error)
    try:
        return _export(config, entry)
    except (DarkroomError, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"python -m pipeline export: {error}\n")
        return 1


def _export(config: ExportConfig, entry: TrainerEntry) -> int:
    from pipeline.export.run import ComparedImages, export_model

    exported = export_model(
        config.model,
        entry,
        config.out,
        ExportOptions(config.format, config.precision, config.nms, config.max_drop),
        facts={"model": config.name or config.model.name, "trainer": entry.trainer.rpartition(".")[2]},
        compared=ComparedImages(config.dataset, config.split, config.images, config.threads),
        report=StageReporter(verbose=True),
    )
    write_json(config.out / ABOUT_FILE, exported.about)
    write_json(config.out / CERTIFICATE_FILE, exported.certificate)
    file = exported.file
    lines = [f"{file} ({file.stat().st_size / 1e6:.1f} MB)", *lines_of(exported.certificate)]
    sys.stdout.write("\n".join([*lines, str(config.out / CERTIFICATE_FILE), ""]))
    return 0 if exported.certificate["passed"] else 1


def lines_of(certificate: dict[str, Any]) -> list[str]:
    """A certificate for the terminal."""
    predictions, figures, times = certificate["predictions"], certificate["figures"], certificate["milliseconds"]
    images = f"{certificate['images']} images of {certificate['split']}"
    return [
        f"  equal predictions   {predictions['equal']} of {predictions['compared']}, on {images}",
        *([_metric(figures)] if figures else []),
        f"  outputs             differ by at most {certificate['outputs']['largest']}",
        f"  ms per image        {times['model']['p50']:.1f} -> {times['export']['p50']:.1f} ({certificate['engine']})",
        *(f"  attempt             {_attempt(each)}" for each in certificate.get("attempts", ())),
        "  passed" if certificate["passed"] else "  NOT PASSED",
        *(f"    {reason}" for reason in certificate["reasons"]),
    ]


def _metric(figures: dict[str, Any]) -> str:
    change = f"{figures['change']:+.4f} ({figures['low']:+.4f} to {figures['high']:+.4f})"
    return f"  {figures['name']:<18}  {figures['model']:.4f} -> {figures['export']:.4f}, {change}"


def _attempt(attempt: dict[str, Any]) -> str:
    change = "not measured" if attempt["change"] is None else f"{attempt['change']:+.4f}"
    return f"{attempt['name']}, {attempt['calibration_images']} images: {change}"
