"""`python -m pipeline predict --model best.pt --image x.jpg --out y.png`: find boxes in a picture and draw them."""

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from core.domain.errors import DarkroomError
from pipeline.params.catalogue import entry_of
from pipeline.trainers import Box, Trainer

DEFAULT_TRAINER = "yolo"  # a bare weights file says nothing about its trainer; a folder has model.json

SHOWN_SIDE = 640  # px; a smaller picture is shown enlarged, so that names can be read and hide nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="best.pt, or a folder with model.json and best.pt")
    parser.add_argument("--image", type=Path, required=True, help="the picture to look at")
    parser.add_argument("--out", type=Path, required=True, help="where to put the picture with its boxes (.png, .jpg)")
    parser.add_argument("--conf", type=_score, default=0.25, help="show boxes from this score up, 0 to 1 (0.25)")
    parser.add_argument("--json", type=Path, help="also write the boxes here, in pixels of the upright picture")


def main(args: argparse.Namespace) -> int:
    from pipeline.plots.boxes import draw_boxes, open_upright, scaled

    try:
        image = open_upright(args.image)
        trainer = cast(Trainer, import_module(entry_of(_trainer_of(args.model)).trainer))
        boxes = trainer.load(args.model).predict(args.image, min_score=args.conf)
        factor = max(1, SHOWN_SIDE // max(image.size))
        large = image.resize((image.width * factor, image.height * factor))
        draw_boxes(large, [scaled(box, factor) for box in boxes]).save(args.out)
    except (DarkroomError, OSError, ValueError) as error:
        sys.stderr.write(f"python -m pipeline predict: {error}\n")
        return 1
    if args.json:
        args.json.write_text(json.dumps(_as_json(args.image, image.size, boxes), indent=1) + "\n", encoding="utf-8")
    for box in boxes:
        sys.stdout.write(f"{box.label} {box.score:.2f}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}\n")
    sys.stdout.write(f"{len(boxes)} found; {args.out}\n")
    return 0


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def _trainer_of(model: Path) -> str:
    described = model / "model.json"
    if not described.is_file():
        return DEFAULT_TRAINER
    return str(json.loads(described.read_text(encoding="utf-8"))["trainer"])


def _as_json(image: Path, size: tuple[int, int], boxes: list[Box]) -> dict[str, Any]:
    """Scores to 4 digits, corners to a tenth of a pixel."""
    rows = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(b).items()} for b in boxes
    ]
    return {"image": image.name, "width": size[0], "height": size[1], "boxes": rows}
