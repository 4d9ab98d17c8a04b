"""Images are drawn for any number of classes, whatever they are called."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.dataset.predictions import PredictedBox
from pipeline.plots import Sample, draw_split, draw_training
from pipeline.plots.boxes import draw_boxes
from pipeline.plots.f1_curves import draw_f1_curves


def evaluation(names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics and curves as in metrics.json and curves.json, for so many classes."""
    size = len(names) + 1
    row = {"mAP50": 0.5, "mAP50-95": 0.3, "precision": 0.6, "recall": 0.7, "f1": 0.65}
    matrix = [[(i * j) % 5 for j in range(size)] for i in range(size)]
    confusion = {"labels": [*names, "background"], "matrix": matrix, "min_score": 0.25, "min_iou": 0.45}
    metrics = {**row, "images": 3, "boxes": 9, "min_score": 0.4, "confusion_matrix": confusion}
    keys = ("precision_by_recall", "precision_by_score", "recall_by_score", "f1_by_score")
    series = {key: [1, 0.5, 0] for key in keys}
    return {**metrics, "per_class": dict.fromkeys(names, row)}, {
        "x": [0, 0.5, 1],
        "classes": dict.fromkeys(names, series),
    }


@pytest.mark.parametrize(
    "names",
    [
        ["one"],
        ["$x^{$", "<b>", "名前", "a" * 300],
        pytest.param([f"class {index}" for index in range(80)], marks=pytest.mark.slow),
    ],
    ids=["one", "odd", "many"],
)
def test_a_split_is_drawn_whatever_its_classes_are(names: list[str], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "white").save(tmp_path / "a.jpg")
    box = PredictedBox(names[0], 0, 0.9, -3, -3, 50, 20)
    metrics, curves = evaluation(names)
    drawn: dict[str, Any] = {"samples": [Sample(tmp_path / "a.jpg", (box,), (box,))]}
    draw_split(tmp_path, "test", metrics=metrics, curves=curves, thresholds=dict.fromkeys(names, 0.4), **drawn)
    series = {name: [1, 0.5, 0] for name in names}
    draw_f1_curves([0, 0.5, 1], series, dict.fromkeys(names, 0.4), tmp_path / "test_f1.png", split="test")
    for path in tmp_path.glob("test_*.png"):
        with Image.open(path) as image:
            assert max(image.size) < 3000
    assert len(list(tmp_path.glob("test_*.png"))) == 5


def test_a_split_without_boxes_is_drawn(tmp_path: Path) -> None:
    metrics, _ = evaluation(["one"])
    nothing: dict[str, Any] = {"curves": {"x": [], "classes": {}}, "samples": [], "thresholds": {"one": 0.25}}
    draw_split(tmp_path, "val", metrics={**metrics, "min_score": None}, **nothing)
    assert (tmp_path / "val_curves.png").is_file()
    assert not (tmp_path / "val_predictions.png").exists()


def test_a_training_of_one_epoch_is_drawn(tmp_path: Path) -> None:
    row = {"epoch": 1.0, "train/box_loss": 1.0, "val/box_loss": 2.0, "metrics/mAP50(B)": 0.1, "lr/pg0": 0.01}
    draw_training([row], tmp_path / "training.png", best_epoch=1)
    with Image.open(tmp_path / "training.png") as image:
        assert image.width > 600


def test_boxes_are_drawn_on_a_copy_and_inside_the_image() -> None:
    bare = Image.new("RGB", (200, 100))
    drawn = draw_boxes(bare, [PredictedBox("disc", 1, 0.87, 150, 0, 260, 40)])
    assert bare.getcolors() == [(200 * 100, (0, 0, 0))]
    assert drawn.size == bare.size
    assert drawn.getpixel((151, 20)) == (0xD5, 0x5E, 0x00)
