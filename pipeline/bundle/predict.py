"""Predicts images with the model of this bundle. It needs onnxruntime, numpy and pillow, and nothing else:

pip install -r requirements.txt
python predict.py image.jpg                  # boxes in pixels of the upright image, or the most probable classes
python predict.py *.jpg --json > found.json  # one JSON object a line, as the service answers
python predict.py image.jpg --out drawn.png --confidence 0.5
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.predictor.engines import EngineFailed
from pipeline.predictor.images import decode
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed

MODEL = Path(__file__).resolve().with_name("model.onnx")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when every image was predicted, 1 when one or the model could not be, 2 for wrong arguments."""
    args = _arguments().parse_args(arguments)
    if args.out and len(args.images) > 1:
        sys.stderr.write("predict.py: --out takes one image\n")
        return 2
    try:
        return _predict(ExportPredictor(args.model, threads=args.threads), args)
    except (MetadataInvalid, EngineFailed) as error:
        sys.stderr.write(f"predict.py: {args.model}: {error}\n")
        return 1


def _predict(predictor: ExportPredictor, args: argparse.Namespace) -> int:
    failed = 0
    for path in args.images:
        result = _predicted(predictor, path, args.confidence)
        if isinstance(result, PredictionFailed):
            sys.stderr.write(f"{path}: {result.reason}\n")
            failed += 1
            continue
        sys.stdout.write(_as_json(path, result) if args.json else _as_text(path, result))
        if args.out:
            _draw(path, result).save(args.out)
    return 1 if failed else 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, nargs="+", help="image files")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with every digit")
    parser.add_argument(
        "--confidence", type=_score, help="the lowest score that is listed, 0 to 1; by default the model's own"
    )
    parser.add_argument("--out", type=Path, help="write the image with its predictions to this file (.png, .jpg)")
    parser.add_argument("--model", type=Path, default=MODEL, help="another exported model")
    parser.add_argument("--threads", type=int, default=1, help="of the model; 1 by default")
    return parser


def _score(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


def _predicted(predictor: ExportPredictor, path: Path, confidence: float | None) -> Prediction | PredictionFailed:
    try:
        content = path.read_bytes()
    except OSError as error:
        return PredictionFailed(f"The file cannot be read: {error.strerror}")
    return predictor.predict([content], min_score=confidence)[0]


def _as_json(path: Path, result: Prediction) -> str:
    content: dict[str, Any] = {"image": str(path), **asdict(result)}
    return json.dumps(content, ensure_ascii=False) + "\n"


def _as_text(path: Path, result: Prediction) -> str:
    boxes = [
        f"  {box.score:.3f}  {box.label}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}" for box in result.boxes
    ]
    labels = [f"  {one.score:.3f}  {one.label}" for one in result.labels]
    if result.labels and not result.labels[0].is_sure:
        labels[0] += f"  unsure: not above {result.labels[0].threshold:.2f}"
    head = f"{path}  {result.width} x {result.height}"
    return "\n".join([head, *(boxes or labels or ["  nothing found"]), ""])


def _draw(path: Path, result: Prediction) -> Image.Image:
    image = Image.fromarray(decode(path.read_bytes()).pixels)  # upright
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(11, round(min(image.size) / 38)))
    for box in reversed(result.boxes):  # the best one on top
        shade = COLOURS[box.class_index % len(COLOURS)]
        pen.rectangle((box.x1, box.y1, box.x2, box.y2), outline=shade, width=max(2, round(min(image.size) / 250)))
        _tag(pen, (box.x1, box.y1), f"{box.label} {box.score:.2f}", font=font, shade=shade)
    for place, one in enumerate(result.labels):
        line = (4.0, 4.0 + place * (getattr(font, "size", 11) + 6))
        _tag(pen, line, f"{one.label} {one.score:.2f}", font=font, shade=COLOURS[0])
    return image


def _tag(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, *, font: Any, shade: str) -> None:
    pen.rectangle(pen.textbbox(at, text, font=font), fill=shade)
    pen.text(at, text, font=font, fill="white")


if __name__ == "__main__":
    sys.exit(main())
