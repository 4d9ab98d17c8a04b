"""Small objects in large images, with and without tiles: `nice -n 15 python -m benchmarks.tiles [--model model.onnx]`.

A yolov8n is trained from scratch on drawn images of 160 px with shapes of 10 to 80 px (some minutes; `--save` keeps it
for `--model`), and predicts drawn scenes of 1920 x 1440 with 40 shapes of 10 to 32 px and four of 200 to 700 px.

- by tile and overlap: mAP of the small shapes and of the large ones, boxes from a score of 0.25 that match no shape of
  their class (IoU 0.5, each shape once), and milliseconds an image;
- of one tile and overlap, the same by the way in which the boxes of all parts are merged.

mAP is that of boxes from a score of 0.05. Of one size, the boxes of the other are left out: those that match a shape of
the other size, and those that match none and have the other size themselves.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.large_scenes import CLASSES, Truth, draw_scene, jpeg, write_tree
from pipeline.evaluation.detection_metrics import ImageBoxes, detection_metrics, pairwise_iou
from pipeline.predictor.images import decode
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed
from pipeline.predictor.tiles import Tile, merged, part_of, parts_of

SIDE, IMAGES, EPOCHS = 160, 320, 22
SIZE = (1920, 1440)
SHAPES = [(10.0, 32.0)] * 40 + [(200.0, 700.0)] * 4
LARGE = 80  # px: no shape has a side between 42 and 140
LOWEST, LISTED = 0.05, 0.25
WAYS: tuple[tuple[int | None, float], ...] = (
    *((None, 0.0), (480, 0.2), (320, 0.2), (240, 0.2), (160, 0.2)),
    *((240, 0.0), (240, 0.1), (240, 0.4)),
)
MERGED_AT = (160, 0.2)
IOU = 0.7
Rows = NDArray[np.float32]
Parts = list[tuple[Tile, Rows]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a detector of these shapes, exported as ONNX")
    parser.add_argument("--save", type=Path, help="where the trained one is written")
    parser.add_argument("--scenes", type=int, default=12)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        model = args.model or _trained(Path(name), args.save)
        predictor = ExportPredictor(model)
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, SIZE, SHAPES) for _ in range(args.scenes)]
    contents, truths = [jpeg(image) for image, _ in scenes], [truth for _, truth in scenes]
    _by_tile(predictor, contents, truths)
    _by_merging(predictor, contents, truths)
    return 0


def _trained(folder: Path, save: Path | None) -> Path:
    data = write_tree(folder / "tree", images=IMAGES, side=SIDE, sides=(10, 80))
    from pipeline.trainers.yolo.environment import go_offline

    go_offline(folder / "config")
    from ultralytics import YOLO

    from pipeline.trainers import yolo
    from pipeline.trainers.yolo.weights import publish_weights, read_weights

    options = {"imgsz": SIDE, "epochs": EPOCHS, "batch": 16, "optimizer": "AdamW", "lr0": 0.002, "warmup_epochs": 1}
    quiet = {"mosaic": 0.0, "patience": 0, "val": False, "plots": False, "verbose": False, "workers": 0, "seed": 0}
    place = {"data": str(data), "project": str(folder), "name": "run", "device": "cpu"}
    started = perf_counter()
    YOLO("yolov8n.yaml").train(**place, **options, **quiet)
    publish_weights(read_weights(folder / "run" / "weights" / "last.pt"), folder / "best.pt", input_size=SIDE)
    target = save or folder / "model.onnx"
    yolo.export_onnx(folder / "best.pt", target, about={})
    print(f"trained in {perf_counter() - started:.0f} s", flush=True)
    return target


def _by_tile(predictor: ExportPredictor, contents: Sequence[bytes], truths: Sequence[Truth]) -> None:
    print(f"\n| tile, overlap | tiles | {' | '.join(HEAD)} | ms an image |\n{'|---' * (len(HEAD) + 3)}|")
    for tile, overlap in WAYS:
        started = perf_counter()
        found = [predictor.predict([each], min_score=LOWEST, tile=tile, overlap=overlap)[0] for each in contents]
        taken = 1e3 * (perf_counter() - started) / len(contents)
        rows = [_rows(each) for each in found]
        name = "the whole image" if tile is None else f"{tile} px, {overlap:g}"
        print(f"| {name} | {_tiles(found[0])} | {' | '.join(_figures(truths, rows))} | {taken:.0f} |", flush=True)


def _by_merging(predictor: ExportPredictor, contents: Sequence[bytes], truths: Sequence[Truth]) -> None:
    tile, overlap = MERGED_AT
    parts = [_parts(predictor, each, tile, overlap) for each in contents]
    print(f"\n| {tile} px, {overlap:g}: merged by | {' | '.join(HEAD)} |\n{'|---' * (len(HEAD) + 1)}|")
    for name, merge in MERGINGS.items():
        rows = [np.asarray(merge(each), np.float64) for each in parts]
        print(f"| {name} | {' | '.join(_figures(truths, rows))} |", flush=True)


def _parts(predictor: ExportPredictor, content: bytes, tile: int, overlap: float) -> Parts:
    """The boxes of the whole image, and of each tile in its pixels."""
    image = decode(content)
    groups = parts_of(image.width, image.height, tile=tile, overlap=overlap, wanted=predictor.metadata.preprocessing)
    found = []
    for part in (each for group in groups for each in group):
        buffer = io.BytesIO()
        Image.fromarray(part_of(image, part).pixels).save(buffer, "BMP")
        rows = _rows(predictor.predict([buffer.getvalue()], min_score=LOWEST)[0])
        found.append((part, rows.astype(np.float32)))
    return found


def _suppressed(parts: Parts, *, by: Callable[[Rows, Rows], Rows], above: float) -> Rows:
    """Greedy, by score, over the boxes of all parts; `by`: the measure of one box and several."""
    offsets = (np.array([part.left, part.top, part.left, part.top, 0, 0], np.float32) for part, _ in parts)
    rows = np.concatenate([found + offset for offset, (_, found) in zip(offsets, parts, strict=True)])
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept = []
    while len(rows):
        best, rows = rows[0], rows[1:]
        kept.append(best)
        rows = rows[(rows[:, 5] != best[5]) | (by(best, rows) <= above)]
    return np.array(kept).reshape(-1, 6)


def _iou(best: Rows, rows: Rows) -> Rows:
    return np.asarray(pairwise_iou(best[None, :4].astype(float), rows[:, :4].astype(float))[0])


def _of_smaller(best: Rows, rows: Rows) -> Rows:
    """The intersection over the smaller of both."""
    low, high = np.maximum(best[:2], rows[:, :2]), np.minimum(best[2:4], rows[:, 2:4])
    areas = (rows[:, 2:4] - rows[:, :2]).prod(axis=1)
    return np.asarray(np.clip(high - low, 0, None).prod(axis=1) / np.minimum(areas, (best[2:4] - best[:2]).prod()))


MERGINGS: dict[str, Callable[[Parts], Rows]] = {
    "IoU 0.7, tiles alone": lambda parts: _suppressed(parts[1:], by=_iou, above=0.7),
    "IoU 0.7": partial(_suppressed, by=_iou, above=0.7),
    "IoU 0.5": partial(_suppressed, by=_iou, above=0.5),
    "share of the smaller 0.5": partial(_suppressed, by=_of_smaller, above=0.5),
    "share of the smaller 0.5, tiles alone": lambda parts: _suppressed(parts[1:], by=_of_smaller, above=0.5),
    "as Darkroom, tiles alone": lambda parts: merged(parts[1:], SIZE, iou=IOU),
    "as Darkroom": lambda parts: merged(parts, SIZE, iou=IOU),
}
HEAD = ("mAP50 small", "mAP50-95 small", "mAP50 large", "mAP50-95 large", "wrong boxes an image")


def _rows(result: Prediction | PredictionFailed) -> Truth:
    assert isinstance(result, Prediction)
    boxes = [(box.x1, box.y1, box.x2, box.y2, box.score, box.class_index) for box in result.boxes]
    return np.array(boxes, np.float64).reshape(-1, 6)


def _tiles(result: Prediction | PredictionFailed) -> int:
    assert isinstance(result, Prediction)
    return result.tiles


def _figures(truths: Sequence[Truth], rows: Sequence[Truth]) -> list[str]:
    pairs = list(zip(truths, rows, strict=True))
    figures = []
    for large in (False, True):
        metrics = detection_metrics([_of_size(*pair, large=large) for pair in pairs], CLASSES)
        figures += [f"{metrics[name]:.3f}" for name in ("mAP50", "mAP50-95")]
    wrong = [_wrong(truth, found[found[:, 4] >= LISTED]) for truth, found in pairs]
    return [*figures, f"{np.mean(wrong):.1f}"]


def _of_size(truth: Truth, rows: Truth, *, large: bool) -> ImageBoxes:
    mine, other = (truth[(truth[:, 3] - truth[:, 1] >= LARGE) == wanted] for wanted in (large, not large))
    in_mine, in_other = (
        (pairwise_iou(rows[:, :4], each[:, 1:5]) >= 0.5).any(axis=1) if len(each) else np.zeros(len(rows), bool)
        for each in (mine, other)
    )
    has_size = (rows[:, 2] - rows[:, 0] >= LARGE) == large
    return ImageBoxes(mine, rows[in_mine | (~in_other & has_size)])


def _wrong(truth: Truth, rows: Truth) -> int:
    matched = ImageBoxes(truth, rows).correct[:, 0]
    return int(len(rows) - matched.sum())


if __name__ == "__main__":
    sys.exit(main())
