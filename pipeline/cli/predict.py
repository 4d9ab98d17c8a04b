"""`python -m pipeline predict --model best.pt --image x.jpg --out y.png`: run a trained model on an image, draw it."""

import argparse
import json
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import DarkroomError
from pipeline.cli.config_files import ConfigInvalid, add_config, complain, read_config
from pipeline.params.catalogue import TrainerEntry, entry_of_version
from pipeline.predictor.package import is_package
from pipeline.trainers import Trainer

DEFAULT_TRAINER = "yolo"  # of a .pt file, which does not name one; a folder has model.json, a ZIP darkroom.json


class PredictConfig(BaseModel):
    """The fields of the config and the arguments of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(
        description="best.pt, model.zip, a folder with one of them and model.json, or an export (.onnx, .xml, .zip)."
    )
    image: Path = Field(description="The image to predict.")
    out: Path = Field(description="Where to write the image with its predictions (.png, .jpg).")
    conf: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The lowest confidence that is listed, 0 to 1; empty: the thresholds of the model's classes.",
    )
    as_json: Path | None = Field(
        None, alias="json", description="Also write the predictions to this file; boxes in pixels of the upright image."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, PredictConfig)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when predicted, 1 when that failed, 2 for a wrong config."""
    from pipeline.cli.output import output_of
    from pipeline.plots.boxes import open_upright

    try:
        config = read_config(args, PredictConfig)
    except (OSError, ConfigInvalid) as error:
        return complain("predict", args.config, error)
    try:
        image = open_upright(config.image)
        kind, predictions = _predicted(config)
        output = output_of(kind)
        output.draw(image, predictions).save(config.out)
    except (DarkroomError, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"python -m pipeline predict: {error}\n")
        return 1
    if config.as_json:
        head = {"image": config.image.name, "width": image.width, "height": image.height}
        config.as_json.write_text(
            json.dumps({**head, **output.as_json(predictions)}, indent=1) + "\n", encoding="utf-8"
        )
    for line in output.lines(predictions):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{config.out}\n")
    return 0


def _predicted(config: PredictConfig) -> tuple[str, Any]:
    """The kind of the model, and its predictions for the image."""
    if is_export(config.model):
        return _predicted_by_export(config)
    if config.model.is_file() and config.model.suffix not in (".pt", ".zip"):
        raise ConfigInvalid(
            [f"model: {config.model.name} is neither .pt or .zip nor an export that ends in .onnx or .xml"]
        )
    entry = entry_of_model(config.model)
    model = cast(Trainer, import_module(entry.trainer)).load(config.model)
    return entry.kind, model.predict(config.image, min_score=config.conf)


def _predicted_by_export(config: PredictConfig) -> tuple[str, Any]:
    from pipeline.predictor.predictor import ExportPredictor, PredictionFailed

    if not config.model.is_file():
        raise ConfigInvalid([f"model: there is no {config.model}"])
    predictor = ExportPredictor(config.model)
    result = predictor.predict([config.image.read_bytes()], min_score=config.conf)[0]
    if isinstance(result, PredictionFailed):
        raise ValueError(result.reason)
    return predictor.metadata.kind, result.boxes or result.labels


def is_export(model: Path) -> bool:
    """Whether it is a file that the predictor runs: .onnx, .xml, or the ZIP of an OpenVINO export."""
    return model.suffix in (".onnx", ".xml") or is_package(model)


def entry_of_model(model: Path) -> TrainerEntry:
    """The trainer that the model names.

    Raises ConfigInvalid where there is no such file, ParamsInvalid for an unknown trainer, ValueError and OSError.
    """
    if not model.exists():
        raise ConfigInvalid([f"model: there is no {model}"])
    try:
        about = _about(model)
        return entry_of_version(str(about.get("trainer", DEFAULT_TRAINER)), kind=str(about.get("kind")))
    except (zipfile.BadZipFile, KeyError, AttributeError) as error:
        raise ValueError(f"{model} does not name its trainer: {error}") from error


def _about(model: Path) -> Any:
    if model.suffix == ".zip":
        with zipfile.ZipFile(model) as archive:
            return json.loads(archive.read("darkroom.json"))
    for described in (model / "model.json", model / "darkroom.json"):
        if described.is_file():
            return json.loads(described.read_text(encoding="utf-8"))
    return {}
