"""What only the vit trainer does: the best model is published, weights, failures, suspect labels."""

import csv
import io
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.training.checkpoint import write_checkpoint
from tests.builders.classification_tree import draw_classified_tree
from tests.builders.training import REPOSITORY, Child, start_training
from tests.builders.warm_children import run_warm

PARAMS: dict[str, Any] = {
    "model": "vit-nano-scratch",
    "epochs": 6,
    "image_size": 32,
    "batch": 8,
    "lr": 0.004,
    "device": "cpu",
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classified_tree(tmp_path_factory.mktemp("tree") / "tree", train=40, val=20, test=10)


@pytest.fixture(scope="module")
def trained(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Child:
    out = tmp_path_factory.mktemp("trained") / "out"
    child = start_training(out, tree, trainer="vit", params=PARAMS, checkpoint_seconds=0)
    assert child.end() == 0, child.log()[-3000:]
    return child


@pytest.fixture(scope="module")
def weights(trained: Child, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published model, unpacked: pretrained weights as in a weights folder."""
    folder = tmp_path_factory.mktemp("weights") / "org--name"
    with zipfile.ZipFile(trained.out / "artifacts" / "model.zip") as archive:
        archive.extractall(folder)
    return folder


def start(out: Path, tree: Path, *, params: Mapping[str, Any] = {}, **spec: Any) -> Child:
    return start_training(out, tree, trainer="vit", params={**PARAMS, **params}, **spec)


def published(child: Child) -> bytes:
    with zipfile.ZipFile(child.out / "artifacts" / "model.zip") as archive:
        return archive.read("model.safetensors")


def run_code(code: str, *arguments: object, folder: Path) -> str:
    """Runs a snippet in a process that has the libraries already."""
    return run_warm("vit", "-c", code, *arguments, folder=folder)


def run_plain(code: str, *arguments: object, folder: Path) -> str:
    """Runs a snippet with transformers offline and nothing of Darkroom imported, in a new interpreter."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **OFFLINE, "HF_HOME": str(folder)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_published_is_what_was_best_bit_for_bit(trained: Child) -> None:
    epochs = {line["epoch"]: line["metrics"]["accuracy"] for line in trained.lines("epoch")}
    best = max(epochs, key=lambda epoch: (epochs[epoch], -epoch))
    model = trained.artifact("model.json")
    assert model["best_epoch"] == best
    saved = {epoch: trained.out / "checkpoints" / f"{epoch:06d}" / "model.safetensors" for epoch in epochs}
    assert published(trained) == saved[best].read_bytes()
    assert len({path.read_bytes() for path in saved.values()}) == len(epochs)
    assert trained.artifact("metrics.json")["val"]["accuracy"] == pytest.approx(epochs[best], abs=1e-5)


@pytest.mark.slow
def test_a_resumed_run_keeps_its_best_model_and_its_patience(trained: Child, tree: Path, tmp_path: Path) -> None:
    first, second = (trained.out / "checkpoints" / name for name in ("000001", "000002"))
    state = {"epochs_done": 2, "best_epoch": 1, "best_value": 2.0, "seconds": 1.0}  # no later epoch beats it
    (tmp_path / "state.json").write_text(json.dumps(state))
    files = {path.name: path for path in second.iterdir() if path.name != "manifest.json"}
    files |= {"state.json": tmp_path / "state.json", "best.safetensors": first / "model.safetensors"}
    write_checkpoint(tmp_path / "checkpoint", files, epoch=2, ended=None)
    child = start(tmp_path / "out", tree, params={"patience": 2}, resume=tmp_path / "checkpoint")
    assert child.end() == 0, child.log()[-3000:]
    model = child.artifact("model.json")
    assert (model["ended"], model["epochs_done"], model["best_epoch"]) == ("early-stopped", 3, 1)
    assert published(child) == (first / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_resumed_run_computes_what_the_uninterrupted_one_did(trained: Child, tree: Path, tmp_path: Path) -> None:
    resume = shutil.copytree(trained.out / "checkpoints" / "000003", tmp_path / "elsewhere")
    child = start(tmp_path / "out", tree, resume=resume)
    assert child.end() == 0, child.log()[-3000:]
    assert [line["epoch"] for line in child.lines("epoch")] == [4, 5, 6]
    for name in ("model.safetensors", "best.safetensors"):
        ours, theirs = (each.out / "checkpoints" / "000006" / name for each in (child, trained))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_a_checkpoint_is_read_without_running_anything(trained: Child, tmp_path: Path) -> None:
    code = """
import sys, torch
from pathlib import Path
from transformers.trainer_pt_utils import safe_globals
with safe_globals():
    for path in Path(sys.argv[1]).iterdir():
        if path.suffix in (".pt", ".pth"):
            torch.load(path, weights_only=True)
            print(path.name)
"""
    folder = trained.out / "checkpoints" / "000006"
    read = run_code(code, folder, folder=tmp_path).split()
    rest = {path.suffix for path in folder.iterdir() if path.name not in read}
    assert sorted(read) == ["optimizer.pt", "rng_state.pth", "scheduler.pt"]
    assert rest == {".safetensors", ".json", ".csv"}


@pytest.mark.slow
def test_plain_transformers_loads_what_is_published(trained: Child, weights: Path, tree: Path, tmp_path: Path) -> None:
    code = """
import io, sys, datasets
from PIL import Image
from transformers import pipeline
data = datasets.load_from_disk(sys.argv[2] + "/data")["validation"]
classify = pipeline("image-classification", model=sys.argv[1])
names = data.features["label"].names
correct = sum(classify(row["image"])[0]["label"] == names[row["label"]] for row in data)
print(correct / len(data))
"""
    accuracy = float(run_plain(code, weights, tree, folder=tmp_path).split()[-1])
    assert accuracy == pytest.approx(trained.artifact("metrics.json")["val"]["accuracy"], abs=1e-5)
    assert sorted(path.name for path in weights.iterdir()) == [
        *("config.json", "darkroom.json", "model.safetensors", "preprocessor_config.json")
    ]


@pytest.mark.parametrize("named", ["artifacts", pytest.param("artifacts/model.zip", marks=pytest.mark.slow)])
def test_predict_writes_the_classes_of_an_image(trained: Child, named: str, tmp_path: Path) -> None:
    Image.new("RGB", (60, 30), "white").save(tmp_path / "a.png")
    arguments = ["--model", trained.out / named, "--image", tmp_path / "a.png"]
    outputs = ["--out", tmp_path / "predicted.png", "--json", tmp_path / "predicted.json"]
    run_warm("vit", "predict", *arguments, *outputs, folder=tmp_path)
    written = json.loads((tmp_path / "predicted.json").read_text())
    assert (written["width"], written["height"]) == (60, 30)
    scores = [one["score"] for one in written["labels"]]
    assert {one["label"] for one in written["labels"]} == {"box", "disc"}
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    with Image.open(tmp_path / "predicted.png") as drawn:
        assert drawn.width >= 640


def test_a_run_starts_from_weights_keeps_frozen_layers_and_takes_another_input_size(
    weights: Path, tree: Path, tmp_path: Path
) -> None:
    model = {"kind": "weights", "path_or_name": str(weights)}
    params = {"epochs": 1, "freeze_layers": 1, "image_size": 64, "class_weights": "balanced", "label_smoothing": 0.1}
    child = start(tmp_path / "out", tree, params={**params, "model": "org/name", "best_by": "f1"}, model=model)
    assert child.end() == 0, child.log()[-3000:]
    assert child.lines("note") == []
    described = child.artifact("model.json")
    assert (described["input_size"], described["frozen_layers"]) == (64, 1)
    code = """
import io, sys, zipfile
from safetensors.numpy import load
old = load(open(sys.argv[1] + "/model.safetensors", "rb").read())
new = load(zipfile.ZipFile(sys.argv[2]).read("model.safetensors"))
print(sorted({name.split(".layer.")[1][0] for name in old if ".layer." in name and (old[name] == new[name]).all()}))
print((old["vit.embeddings.cls_token"] == new["vit.embeddings.cls_token"]).all())
print(new["vit.embeddings.position_embeddings"].shape)
"""
    printed = run_code(code, weights, child.out / "artifacts" / "model.zip", folder=tmp_path)
    assert printed.splitlines() == ["['0']", "True", "(1, 65, 32)"]
    assert child.artifact("suspect_labels.json")["features"] == "pretrained backbone"


@pytest.mark.parametrize("broken", ["no safetensors", "not a config"])
def test_unusable_weights_are_a_typed_failure(broken: str, weights: Path, tree: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights, tmp_path / "weights")
    if broken == "no safetensors":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    else:
        (folder / "config.json").write_text("{}")
    child = start(tmp_path / "out", tree, model={"kind": "weights", "path_or_name": str(folder)})
    assert child.end() == 1
    assert child.problem()["slug"] == "weights-unavailable", child.log()[-2000:]


def test_missing_required_weights_are_a_typed_failure(tree: Path, tmp_path: Path) -> None:
    child = start(tmp_path / "out", tree, params={"pretrained": "required", "model": "org/name"})
    assert child.end() == 1
    assert child.problem()["slug"] == "weights-unavailable"


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_images_than_the_manifest_lists_are_a_typed_failure_that_names_them(
    tree: Path, tmp_path: Path, split: str
) -> None:
    changed = shutil.copytree(tree, tmp_path / "tree")
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["images"].append({"path": "box/lost.png", "split": split})
    (changed / "manifest.json").write_text(json.dumps(manifest))
    child = start(tmp_path / "out", changed)
    assert child.end() == 1
    problem = child.problem()
    assert problem["slug"] == "images-differ"
    assert (problem["facts"]["split"], problem["facts"]["files"]) == (split, ["box/lost.png"])


def test_a_loss_that_is_not_a_number_is_diverged(weights: Path, tree: Path, tmp_path: Path) -> None:
    code = """
import sys, numpy
from safetensors.numpy import load_file, save_file
state = load_file(sys.argv[1])
save_file({name: numpy.full_like(value, numpy.nan) for name, value in state.items()}, sys.argv[1], {"format": "pt"})
"""
    folder = shutil.copytree(weights, tmp_path / "weights")
    run_code(code, folder / "model.safetensors", folder=tmp_path)
    child = start(tmp_path / "out", tree, model={"kind": "weights", "path_or_name": str(folder)})
    assert child.end() == 1
    assert child.problem()["slug"] == "diverged", child.log()[-2000:]


@pytest.mark.slow
def test_a_full_disk_is_no_space(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "artifacts"
    folder.mkdir(parents=True)
    (folder / "model.zip").symlink_to("/dev/full")  # a real ENOSPC
    child = start(tmp_path / "out", tree, params={"epochs": 1})
    assert child.end() == 1
    assert child.problem()["slug"] == "no-space", child.log()[-2000:]


@pytest.mark.slow
def test_half_of_the_flipped_labels_are_in_the_first_tenth_of_the_ranking(tmp_path: Path) -> None:
    classes, counts = ("box", "disc", "cross"), {"train": 240, "validation": 36, "test": 24}
    rng, flipped = random.Random(1), {}
    for split, count in counts.items():
        for index in rng.sample(range(count), count // 20):
            name = classes[index % 3]
            flipped[f"{name}/{split}-{index:03d}.png"] = rng.choice([other for other in classes if other != name])
    tree = draw_classified_tree(tmp_path / "tree", train=240, val=36, test=24, classes=classes, flipped=flipped)
    child = start(tmp_path / "out", tree, params={"epochs": 1})
    assert child.end() == 0, child.log()[-3000:]
    with (child.out / "artifacts" / "suspect_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 301)]
    flips = [row for row in rows[:30] if row["path"] in flipped]
    assert len(flips) >= len(flipped) / 2
    correct = [row for row in flips if row["suggested"] == row["path"].partition("/")[0]]
    assert len(correct) > len(flips) / 2


@pytest.mark.slow
def test_hostile_names_stay_text_in_the_report(tmp_path: Path) -> None:
    classes = ("<script>alert(1)</script>", "=1+1")
    tree = draw_classified_tree(tmp_path / "tree", classes=classes)
    child = start(tmp_path / "out", tree, params={"epochs": 1})
    assert child.end() == 0, child.log()[-3000:]
    page = (child.out / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    with zipfile.ZipFile(child.out / "artifacts" / "report.xlsx") as book:
        assert not any(b"<f>" in book.read(name) for name in book.namelist())
    rows = list(csv.reader(io.StringIO((child.out / "artifacts" / "predictions.csv").read_text(encoding="utf-8"))))
    assert {row[2] for row in rows[1:]} == {classes[0], f"'{classes[1]}"}
