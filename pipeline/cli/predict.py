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
from pipeline.params.catalogue import TrainerEntry, entry_of
from pipeline.trainers import Trainer

DEFAULT_TRAINER = "yolo"  # a .pt file says nothing about its trainer; a folder has model.json, a ZIP darkroom.json


class PredictConfig(BaseModel):
    """What a person writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(description="best.pt, model.zip, or a folder with one of them and model.json.")
    image: Path = Field(description="The image to look at.")
    out: Path = Field(description="Where to put the image with what was found (.png, .jpg).")
    conf: float | None = Field(None, ge=0, le=1, description="Show what has this score or more, 0 to 1.")
    as_json: Path | None = Field(
        None, alias="json", description="Also write what was found here; boxes in pixels of the upright image."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, PredictConfig)


def main(args: argparse.Namespace) -> int:
    """0: predicted; 1: it could not be; 2: the config is wrong."""
    from pipeline.cli.output import shown_of
    from pipeline.plots.boxes import open_upright

    try:
        config = read_config(args, PredictConfig)
    except (OSError, ConfigInvalid) as error:
        return complain("predict", args.config, error)
    try:
        image = open_upright(config.image)
        entry = entry_of_model(config.model)
        trainer, shown = cast(Trainer, import_module(entry.trainer)), shown_of(entry.kind)
        given = {} if config.conf is None else {"min_score": config.conf}
        found = trainer.load(config.model).predict(config.image, **given)
        shown.draw(image, found).save(config.out)
    except (DarkroomError, OSError, ValueError) as error:
        sys.stderr.write(f"python -m pipeline predict: {error}\n")
        return 1
    if config.as_json:
        head = {"image": config.image.name, "width": image.width, "height": image.height}
        config.as_json.write_text(json.dumps({**head, **shown.as_json(found)}, indent=1) + "\n", encoding="utf-8")
    for line in shown.lines(found):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{config.out}\n")
    return 0


def entry_of_model(model: Path) -> TrainerEntry:
    """By what the model says of itself. Raises ParamsInvalid for a trainer that does not exist, ValueError, OSError."""
    try:
        return entry_of(str(_about(model).get("trainer", DEFAULT_TRAINER)))
    except (zipfile.BadZipFile, KeyError, AttributeError) as error:
        raise ValueError(f"{model} does not say what it is: {error}") from error


def _about(model: Path) -> Any:
    if model.suffix == ".zip":
        with zipfile.ZipFile(model) as archive:
            return json.loads(archive.read("darkroom.json"))
    for described in (model / "model.json", model / "darkroom.json"):
        if described.is_file():
            return json.loads(described.read_text(encoding="utf-8"))
    return {}
