"""`python -m pipeline predict --model best.pt --image x.jpg --out y.png`: run a trained model on a picture, draw it."""

import argparse
import json
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from core.domain.errors import DarkroomError
from pipeline.params.catalogue import Entry, entry_of
from pipeline.trainers import Trainer

DEFAULT_TRAINER = "yolo"  # a .pt file says nothing about its trainer; a folder has model.json, a ZIP darkroom.json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, required=True, help="best.pt, model.zip, or a folder with one of them and model.json"
    )
    parser.add_argument("--image", type=Path, required=True, help="the picture to look at")
    parser.add_argument(
        "--out", type=Path, required=True, help="where to put the picture with what was found (.png, .jpg)"
    )
    parser.add_argument("--conf", type=_score, default=None, help="show what has this score or more, 0 to 1")
    parser.add_argument(
        "--json", type=Path, help="also write what was found here; boxes in pixels of the upright picture"
    )


def main(args: argparse.Namespace) -> int:
    from pipeline.plots.boxes import open_upright
    from pipeline.shown import shown_of

    try:
        image = open_upright(args.image)
        entry = _entry_of(args.model)
        trainer, shown = cast(Trainer, import_module(entry.trainer)), shown_of(entry.kind)
        given = {} if args.conf is None else {"min_score": args.conf}
        found = trainer.load(args.model).predict(args.image, **given)
        shown.draw(image, found).save(args.out)
    except (DarkroomError, OSError, ValueError) as error:
        sys.stderr.write(f"python -m pipeline predict: {error}\n")
        return 1
    if args.json:
        head = {"image": args.image.name, "width": image.width, "height": image.height}
        args.json.write_text(json.dumps({**head, **shown.as_json(found)}, indent=1) + "\n", encoding="utf-8")
    for line in shown.lines(found):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{args.out}\n")
    return 0


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def _entry_of(model: Path) -> Entry:
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
