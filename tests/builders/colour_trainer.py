"""The models of tests.builders.colour_models as those of a trainer, and a prepared tree of their scenes."""

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from pipeline.layouts import MANIFEST_FILE
from pipeline.params.catalogue import TrainerEntry
from pipeline.predictor.metadata import read_metadata
from pipeline.predictor.onnx_file import describe_onnx, description_in
from tests.builders.colour_models import CLASSES, SIDE, DetectorModel, GridDetector, draw_scenes, export_of

ENTRY = TrainerEntry("detection", "", __name__)


def load(_model: Path) -> DetectorModel:
    return DetectorModel()


def export_onnx(_model: Path, target: Path, *, about: Mapping[str, Any]) -> None:
    import onnx

    export_of("detection", target)
    described = read_metadata(description_in(onnx.load(str(target))))
    described.about.update(about)
    describe_onnx(target, described)


def trace(_model: Path, target: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises another format
        torch.jit.trace(GridDetector(), torch.zeros(2, 3, SIDE, SIDE), check_trace=False).save(str(target))


def draw_colour_tree(root: Path, *, splits: Mapping[str, int]) -> Path:
    """As the layout of yolo has it. `splits`: the number of images of each."""
    listed = []
    for seed, (split, count) in enumerate(splits.items()):
        folder = root / "images" / split
        folder.mkdir(parents=True)
        drawn = root / "drawn"
        drawn.mkdir()
        for scene in draw_scenes(drawn, count, seed=seed):
            path = f"{split}-{scene.file.name}"
            boxes = [[int(row[0]), *(int(value * 1000) for value in row[1:]), 0] for row in scene.boxes]
            listed.append({"path": path, "split": split, "boxes": boxes})
            shutil.move(scene.file, folder / path)
        drawn.rmdir()
    (root / MANIFEST_FILE).write_text(json.dumps({"kind": "detection", "classes": CLASSES, "images": listed}))
    (root / "data.yaml").write_text(yaml.safe_dump({"names": dict(enumerate(CLASSES))}))
    return root
