"""A small RT-DETR with random weights, and images whose truth is what it finds in them: a right reader of its output
measures it near 1.

`python -m tests.builders.small_rtdetr FOLDER` writes `artifacts` and `files`, a YOLO dataset.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.dataset.predictions import PredictedBox
from pipeline.trainers.yolo.environment import go_offline

CLASSES, SIDE = ("blue", "green", "red"), 160  # in order, as `prepare` writes them
COUNTS = {"train": 8, "val": 2, "test": 8}
LAYERS = {
    "nc": len(CLASSES),
    "backbone": [[-1, 1, "Conv", [width, 3, 2]] for width in (16, 32, 32, 64, 64)],
    "head": [[-1, 1, "AIFI", [64, 4]], [[2, 3, 5], 1, "RTDETRDecoder", ["nc", 64, 40, 4, 4, 2, 128]]],
}


def main(folder: Path) -> None:
    go_offline(folder / "config")
    _publish(folder / "artifacts")
    _draw(folder / "files", folder / "artifacts" / "best.pt")


def _publish(artifacts: Path) -> None:
    import torch
    from ultralytics.nn.tasks import RTDETRDetectionModel

    from pipeline.trainers.yolo.weights import publish_weights

    torch.manual_seed(0)
    model = RTDETRDetectionModel(LAYERS, nc=len(CLASSES), verbose=False)
    model.names = dict(enumerate(CLASSES))
    with torch.no_grad():
        for layer in model.model[-1].dec_score_head:  # as they are drawn, all scores are near 0.01
            layer.weight.mul_(6)
            layer.bias.zero_()
    artifacts.mkdir()
    publish_weights({"model": model, "train_args": {}}, artifacts / "best.pt", input_size=SIDE)
    about = {"trainer": "yolo", "kind": "detection", "classes": CLASSES, "weights": {"name": "best.pt"}}
    (artifacts / "model.json").write_text(json.dumps(about))


def _draw(files: Path, weights: Path) -> None:
    """Noise of several scales: of equal places in an even area, chance would decide which one is a query."""
    from pipeline.trainers import yolo

    model = yolo.load(weights)
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for kind in ("images", "labels"):
            (files / kind / split).mkdir(parents=True)
        for number in range(count):
            width, height = 160 + 16 * (number % 3), 160
            coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).resize((width, height))
            pixels = np.clip(np.asarray(coarse) + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)
            image = files / "images" / split / f"{split}-{number}.png"
            Image.fromarray(pixels).save(image)
            rows = [_row(box, width, height) for box in model.predict(image)]
            (files / "labels" / split / f"{split}-{number}.txt").write_text("".join(rows))
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    splits = "".join(f"{split}: images/{split}\n" for split in COUNTS)
    (files / "data.yaml").write_text(f"{splits}names:\n{names}")


def _row(box: PredictedBox, width: int, height: int) -> str:
    """Of a box that leaves the image: nothing."""
    if box.x1 < 0 or box.y1 < 0 or box.x2 > width or box.y2 > height:
        return ""
    centre = (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height
    sides = (box.x2 - box.x1) / width, (box.y2 - box.y1) / height
    return f"{box.class_index} " + " ".join(f"{value:.6f}" for value in (*centre, *sides)) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
