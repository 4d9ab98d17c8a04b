"""Trainings that go on from a parent of other classes: what of its head is kept, and what a resumed one keeps."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY
from tests.builders.classification_tree import draw_classified_tree
from tests.builders.clip_model import make_clip
from tests.builders.training import Child, draw_tree, start_training

PARENT = {"name": "raccoons/v1", "version_id": "version_1", "sha256": "a" * 64}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "YOLO_OFFLINE": "true", "PYTHONPATH": str(REPOSITORY)}

# A parent of the classes a, b, c, and what starts from it for the classes c, a, d: of each layer with a row per class,
# the rows of c and a are exactly the parent's, and that of d is none of them.
DETECTOR = """
import sys
from pathlib import Path
from pipeline.trainers.yolo.environment import go_offline
go_offline(Path("config"))
import torch
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel
from pipeline.trainers.yolo.head import class_layers, start_from_parent

TINY = {
    "nc": 3,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[1, 2], 1, "Detect", ["nc"]]],
}

def made(name, classes):
    model_type = RTDETRDetectionModel if "rtdetr" in name else DetectionModel
    model = model_type(TINY if name == "tiny" else name, nc=len(classes), verbose=False)
    model.names = dict(enumerate(classes))
    return model

(name,) = sys.argv[1:]
many = [f"class {number}" for number in range(120)]  # from some number on, the head of a small YOLO is wider
for old, new in ((["a", "b", "c"], ["c", "a", "d"]), (["a", "b"], ["x", "y"]), (["a", "b"], ["b", "a", *many])):
    parent = made(name, old)
    drawn = made(name, new)
    before = [layer.weight.detach().clone() for layer in class_layers(drawn)]
    start_from_parent(drawn, parent, new)
    assert len(class_layers(drawn)) == len(class_layers(parent)) >= 2
    for layer, source, first in zip(class_layers(drawn), class_layers(parent), before):
        assert len(layer.weight) == len(new)
        for row, each in enumerate(new):
            if each in old:
                assert torch.equal(layer.weight[row], source.weight[old.index(each)]), (name, each)
            elif layer.weight.shape == first.shape:
                assert torch.equal(layer.weight[row], first[row]), (name, each)
            if getattr(layer, "bias", None) is not None and each in old:
                assert layer.bias[row] == source.bias[old.index(each)], (name, each)
    same = parent.state_dict()
    rows = {id(layer.weight) for layer in class_layers(drawn)} | {id(layer.bias) for layer in class_layers(drawn)
            if getattr(layer, "bias", None) is not None}
    assert all(torch.equal(value, same[key]) for key, value in drawn.named_parameters() if id(value) not in rows)
    drawn.eval()(torch.zeros(1, 3, 64, 64))
print(name)
"""


def run_python(code: str, *arguments: object, folder: Path) -> str:
    environment = {**os.environ, **OFFLINE, "HF_HOME": str(folder)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


DETECTORS_TESTED = ("yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml", "yolov10n.yaml", "rtdetr-l.yaml")


@pytest.mark.parametrize("name", ["tiny", *(pytest.param(name, marks=pytest.mark.slow) for name in DETECTORS_TESTED)])
def test_a_detector_keeps_the_rows_of_the_classes_that_both_have(name: str, tmp_path: Path) -> None:
    assert run_python(DETECTOR, name, folder=tmp_path).splitlines()[-1] == name


@pytest.mark.parametrize("name", ["vit-nano-scratch", "resnet-tiny-scratch"])
def test_a_classifier_keeps_the_rows_of_the_classes_that_both_have(name: str, tmp_path: Path) -> None:
    import torch

    from pipeline.trainers import ModelSource
    from pipeline.trainers.vit.models import build_classifier, classes_in

    parent, processor = build_classifier(ModelSource("config", name), ["a", "b", "c"], 32)
    parent.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    source = ModelSource("weights", str(tmp_path), parent="shapes/v1")
    started, _ = build_classifier(source, ["c", "a", "d"], None)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        old, new = parent.eval()(pixels).logits, started.eval()(pixels).logits
    assert torch.equal(new[:, :2], old[:, [2, 0]])
    assert not any(torch.allclose(new[:, 2], old[:, row]) for row in range(3))
    assert classes_in(tmp_path) == ("a", "b", "c")
    assert started.config.label2id == {"c": 0, "a": 1, "d": 2}
    larger, processor = build_classifier(source, ["c", "a", "d"], 64)
    assert larger.eval()(torch.rand(1, 3, 64, 64)).logits.shape == (1, 3)


def test_a_linear_probe_starts_as_the_head_of_its_parent(tmp_path: Path) -> None:
    import torch

    from pipeline.params.clip import ClipParams
    from pipeline.trainers.classifier.data import open_tree
    from pipeline.trainers.clip.learners import ImageFeatures, LinearProbe
    from pipeline.trainers.clip.models import publish_clip, read_clip
    from pipeline.trainers.clip.parent import read_parent

    clip = read_clip(make_clip(tmp_path / "tiny"))
    head = {"weight": torch.randn(3, 16), "bias": torch.randn(3)}
    publish_clip(clip, head, {"mode": "linear-probe", "classes": ["a", "box", "disc"]}, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        archive.extractall(tmp_path / "parent")
    parent = read_parent(tmp_path / "parent", "shapes/v1")
    classes = ("disc", "cross", "box")
    tree = open_tree(draw_classified_tree(tmp_path / "tree", classes=classes))
    features = ImageFeatures(clip, tree, batch=8, device=torch.device("cpu"))
    rows = parent.rows_for(classes)
    probe = LinearProbe(features, tree, ClipParams(mode="linear-probe"), cache=tmp_path / "cache", start=rows)
    probe.prepare(lambda: None)
    started = probe.head()
    assert torch.allclose(started["weight"][[0, 2]], head["weight"][[2, 1]], rtol=1e-5)
    assert torch.allclose(started["bias"][[0, 2]], head["bias"][[2, 1]], atol=1e-4)
    assert not started["weight"][1].any() and not started["bias"][1].any()
    assert parent.note(classes, mode="linear-probe") == "kept 2 of 3 classes: disc, box; new: cross; dropped: a"
    assert parent.note(classes, mode="fine-tune") == "computed from the prompts of the 3 classes, not kept"
    assert not parent.is_trained


@dataclass(frozen=True)
class Case:
    """`params` of the parent, and those with which the training changes next to nothing. `weights`: of the parent.
    `repeats`: a resumed training gives the numbers of an undisturbed one; ultralytics draws other augmentations."""

    params: dict[str, Any]
    still: dict[str, Any]
    draw: Callable[..., Path]
    file: str
    weights: Callable[[Path], Path] | None = None
    repeats: bool = True


CASES = {
    "yolo": Case(
        {"epochs": 1, "imgsz": 64, "batch": 8, "lr0": 0.002, "device": "cpu"},
        {"lr0": 1e-12},
        draw_tree,
        "best.pt",
        repeats=False,
    ),
    "vit": Case(
        {"model": "vit-nano-scratch", "epochs": 1, "image_size": 32, "batch": 8, "device": "cpu"},
        {"lr": 1e-12},
        draw_classified_tree,
        "model.zip",
    ),
    "clip": Case(
        {"model": "org/tiny", "mode": "linear-probe", "epochs": 2, "batch": 8, "device": "cpu"},
        {"lr": 1e-12, "epochs": 1},
        draw_classified_tree,
        "model.zip",
        make_clip,
    ),
}
HEADS = """
import json, sys
from pathlib import Path
from zipfile import ZipFile
path = Path(sys.argv[1])
if path.suffix == ".pt":
    from pipeline.trainers.yolo.environment import go_offline
    go_offline(Path("config"))
    from pipeline.trainers.yolo.head import class_layers
    from pipeline.trainers.yolo.weights import class_names, model_in, read_weights
    model = model_in(read_weights(path))
    names, layers = class_names(model), class_layers(model)
    tensors = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
else:
    from safetensors.torch import load
    archive = ZipFile(path)
    if "head.safetensors" in archive.namelist():
        names = json.loads(archive.read("darkroom.json"))["classes"]
        tensors = [load(archive.read("head.safetensors"))["weight"]]
    else:
        labels = json.loads(archive.read("config.json"))["id2label"]
        names = [labels[key] for key in sorted(labels, key=int)]
        tensors = [load(archive.read("model.safetensors"))["classifier.weight"]]
rows = {name: [tensor[row].float().flatten().tolist() for tensor in tensors] for row, name in enumerate(names)}
print(json.dumps(rows))
"""


def tree_of(case: Case, folder: Path, classes: tuple[str, ...]) -> Path:
    if case.draw is draw_classified_tree:
        return draw_classified_tree(folder, classes=classes)
    tree = draw_tree(folder)
    content = (tree / "data.yaml").read_text().partition("names:")[0]
    (tree / "data.yaml").write_text(content + f"names: {json.dumps(dict(enumerate(classes)))}\n")
    return tree


def trained(child: Child) -> Child:
    assert child.end() == 0, child.log()[-3000:]
    return child


@pytest.mark.slow
@pytest.mark.parametrize("trainer", sorted(CASES))
def test_a_training_starts_from_its_parent_once_and_survives_a_kill(trainer: str, tmp_path: Path) -> None:
    case = CASES[trainer]
    made = case.weights(tmp_path / "weights") if case.weights else None
    model = {"model": {"kind": "weights", "path_or_name": str(made)}} if made else {}
    tree = tree_of(case, tmp_path / "tree", ("box", "disc"))
    parent = trained(start_training(tmp_path / "parent", tree, trainer=trainer, params=case.params, **model))
    assert parent.artifact("model.json")["parent"] is None

    other = tree_of(case, tmp_path / "other", ("disc", "ring"))
    weights = parent.out / "artifacts" / case.file
    start = {"trainer": trainer, "model": {"kind": "weights", "path_or_name": str(weights), "parent": PARENT}}
    child = trained(start_training(tmp_path / "out", other, params={**case.params, **case.still}, **start))
    assert child.artifact("model.json")["parent"] == PARENT
    notes = {line["name"]: line["text"] for line in child.lines("note")}
    assert notes["head"] == "kept 1 of 2 classes: disc; new: ring; dropped: box"
    assert "input" not in notes, "it has the side of its parent"
    files = (weights, child.out / "artifacts" / case.file)
    old, new = (json.loads(run_python(HEADS, path, folder=tmp_path).splitlines()[-1]) for path in files)
    assert list(new) == ["disc", "ring"]
    for kept, first in zip(new["disc"], old["disc"], strict=True):
        assert kept == pytest.approx(first, rel=1e-3, abs=1e-6)
    assert all(new["ring"] != old[name] for name in old)

    params = {**case.params, "epochs": 4}
    killed = start_training(tmp_path / "killed", other, params=params, checkpoint_seconds=0, **start)
    killed.wait_for(lambda child: any(line["epoch"] == 2 for line in child.lines("checkpoint")))
    killed.kill()
    checkpoint = killed.out / "checkpoints" / "000002"
    again = trained(start_training(tmp_path / "again", other, params=params, resume=checkpoint, **start))
    assert [line["epoch"] for line in again.lines("epoch")] == [3, 4]
    assert [line["name"] for line in again.lines("note") if line["name"] == "head"] == [], "it is not started anew"
    if not case.repeats:
        return
    whole = trained(start_training(tmp_path / "whole", other, params=params, **start))
    assert [line["metrics"] for line in again.lines("epoch")] == [line["metrics"] for line in whole.lines("epoch")[2:]]
