"""What only the yolo trainer does: weights, its failures, files that plain ultralytics loads."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.__main__ import run
from pipeline.process.specs import EvaluateSpec
from tests.builders.odd_images import jpeg, marker_starts
from tests.builders.training import CLASSES, REPOSITORY, Child, draw_tree, start_training
from tests.builders.voc import voc_files, zip_files
from tests.builders.warm_children import run_warm
from tests.builders.yolo_coco import yolo_files

PARAMS: dict[str, Any] = {"epochs": 3, "imgsz": 64, "batch": 8, "lr0": 0.002, "device": "cpu"}


def start(out: Path, tree: Path, **spec: Any) -> Child:
    return start_training(out, tree, trainer="yolo", **spec)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_tree(tmp_path_factory.mktemp("tree") / "tree")


@pytest.fixture(scope="module")
def trained(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Child:
    child = start(tmp_path_factory.mktemp("trained") / "out", tree, params=PARAMS, checkpoint_seconds=0)
    assert child.end() == 0, child.log()[-3000:]
    return child


def run_code(code: str, *arguments: object, folder: Path) -> str:
    """Runs a snippet in a process that has the libraries already."""
    return run_warm("yolo", "-c", code, *arguments, folder=folder)


def run_plain(code: str, *arguments: object, folder: Path) -> str:
    """Runs a snippet with ultralytics offline and nothing of Darkroom imported, in a new interpreter."""
    environment = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(folder), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_without_weights_notes_that_it_is_from_scratch(trained: Child) -> None:
    assert [note["name"] for note in trained.lines("note")] == ["weights"]


def test_metrics_count_boxes_by_class_and_in_a_confusion_matrix(trained: Child) -> None:
    metrics = trained.artifact("metrics.json")
    for split in ("val", "test"):
        assert metrics[split]["boxes"] == sum(row["instances"] for row in metrics[split]["per_class"].values())
        for row in metrics[split]["per_class"].values():
            assert all(0 <= row[name] <= 1 for name in ("mAP50", "mAP50-95", "precision", "recall", "f1"))
        confusion = metrics[split]["confusion_matrix"]
        assert confusion["labels"] == [*CLASSES, "background"]
        assert sum(sum(row) for row in confusion["matrix"][:-1]) == metrics[split]["boxes"]


def test_curves_come_as_data_and_as_images(trained: Child) -> None:
    curves = trained.artifact("curves.json")
    series = curves["test"]["classes"]["box"]
    assert {len(values) for values in series.values()} == {len(curves["test"]["x"])} == {101}
    for split in ("val", "test"):
        for name in ("confusion_matrix", "confusion_matrix_normalized", "curves", "predictions"):
            with Image.open(trained.out / "artifacts" / f"{split}_{name}.png") as image:
                assert min(image.size) > 300
    assert (trained.out / "artifacts" / "training_curves.png").is_file()


@pytest.mark.slow
def test_an_evaluation_has_the_figures_of_the_training(trained: Child, tree: Path, tmp_path: Path) -> None:
    """Of the version in its framework, and of its ONNX: both without ultralytics' validator."""
    artifacts, copied = trained.out / "artifacts", tmp_path / "tree"
    shutil.copytree(tree, copied)
    write_manifest(copied, "test")
    run_warm("yolo", "export", "--model", artifacts, "--out", tmp_path / "export", folder=tmp_path)
    expected = trained.artifact("metrics.json")["test"]
    for model, trainer in ((artifacts, "yolo"), (tmp_path / "export" / "model.onnx", None)):
        content = {"model": model, "trainer": trainer, "dataset": copied, "dataset_name": "d1", "split": "test"}
        spec = EvaluateSpec(out=tmp_path / f"{trainer}", name="v1", trained_on_known=False, **content)
        (tmp_path / "spec.json").write_text(spec.model_dump_json())
        run_warm("yolo", "evaluate-version", "--config", tmp_path / "spec.json", folder=tmp_path)
        found = json.loads((spec.out / "artifacts" / "metrics.json").read_text())["test"]
        for name in ("images", "boxes", "mAP50", "mAP50-95", "precision", "recall", "f1"):
            assert found[name] == pytest.approx(expected[name], abs=1e-3), (trainer, name)
        assert found["confusion_matrix"] == expected["confusion_matrix"], trainer


def write_manifest(tree: Path, split: str) -> None:
    """As prepare writes it, of the labels of one split."""
    images = []
    for file in sorted((tree / "images" / split).iterdir()):
        boxes = []
        for line in (tree / "labels" / split / f"{file.stem}.txt").read_text().splitlines():
            index, x, y, wide, high = map(float, line.split())
            corners = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            boxes.append([int(index), *(round(64_000 * corner) for corner in corners), 0])
        images.append({"path": file.name, "split": split, "boxes": boxes})
    manifest = {"kind": "detection", "classes": list(CLASSES), "images": images}
    (tree / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_plain_ultralytics_loads_what_is_published(trained: Child, tree: Path, tmp_path: Path) -> None:
    code = """
import sys
from ultralytics import YOLO
model = YOLO(sys.argv[1])
model.predict(sys.argv[2], imgsz=64, verbose=False)
print(sorted(model.names.items()), "optimizer" in model.ckpt and model.ckpt["optimizer"])
"""
    image = tree / "images" / "val" / "000.png"
    printed = run_plain(code, trained.out / "artifacts" / "best.pt", image, folder=tmp_path)
    assert printed.splitlines()[-1] == "[(0, 'box'), (1, 'disc')] None"


def test_predict_draws_the_boxes_of_a_published_model(trained: Child, tree: Path, tmp_path: Path) -> None:
    image = tree / "images" / "val" / "000.png"
    arguments = ["--model", trained.out / "artifacts", "--image", image, "--conf", "0.0001"]
    outputs = ["--out", tmp_path / "predicted.png", "--json", tmp_path / "predicted.json"]
    run_warm("yolo", "predict", *arguments, *outputs, folder=tmp_path)
    written = json.loads((tmp_path / "predicted.json").read_text())
    assert (written["width"], written["height"]) == (64, 64)
    assert written["boxes"]
    assert all(box["label"] in ("box", "disc") and 0 <= box["x1"] <= box["x2"] <= 64 for box in written["boxes"])
    with Image.open(tmp_path / "predicted.png") as drawn, Image.open(image) as bare:
        assert drawn.size == (640, 640)  # small images are enlarged
        assert drawn.tobytes() != bare.resize(drawn.size).tobytes()


@pytest.mark.slow
def test_a_resumed_run_keeps_its_best_model_and_its_patience(trained: Child, tree: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import torch, ultralytics.nn.tasks
from pipeline.training.checkpoint import write_checkpoint
source, target = Path(sys.argv[1]), Path(sys.argv[2])
last = torch.load(source / "last.pt", weights_only=False)
last["best_fitness"] = 0.99  # no later epoch beats it
last["stopper"] = {"best_fitness": 0.99, "best_epoch": 1}
last["train_args"]["patience"] = 1
torch.save(last, "last.pt")
files = {"last.pt": Path("last.pt"), "best.pt": source / "best.pt", "results.csv": source / "results.csv"}
write_checkpoint(target, files, epoch=1, ended=None)
"""
    run_code(code, trained.out / "checkpoints" / "000001", tmp_path / "checkpoint", folder=tmp_path)
    child = start(tmp_path / "out", tree, params=PARAMS, resume=tmp_path / "checkpoint")
    assert child.end() == 0, child.log()[-3000:]
    assert [line["epoch"] for line in child.lines("epoch")] == [2]
    model, last = child.artifact("model.json"), child.out / "checkpoints" / "000002"
    assert (model["ended"], model["epochs_done"], model["best_epoch"]) == ("early-stopped", 2, 1)
    assert json.loads((last / "manifest.json").read_text())["ended"] == "early-stopped"
    assert (last / "best.pt").read_bytes() == (tmp_path / "checkpoint" / "best.pt").read_bytes()


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_weights_that_would_run_code_are_refused_unread(tree: Path, tmp_path: Path) -> None:
    import torch

    weights = tmp_path / "evil.pt"
    torch.save({"model": _Bomb(tmp_path / "gone-off")}, weights, pickle_module=pickle)
    child = start(tmp_path / "out", tree, params=PARAMS, model={"kind": "weights", "path_or_name": str(weights)})
    assert child.end() == 1
    assert child.problem()["slug"] == "weights-unavailable"
    assert not (tmp_path / "gone-off").exists()


def test_missing_required_weights_are_a_typed_failure(tree: Path, tmp_path: Path) -> None:
    child = start(tmp_path / "out", tree, params={**PARAMS, "pretrained": "required"})
    assert child.end() == 1
    assert child.problem()["slug"] == "weights-unavailable"


def test_a_loss_that_is_not_a_number_is_diverged(trained: Child, tree: Path, tmp_path: Path) -> None:
    code = """
import sys, torch, ultralytics.nn.tasks
weights = torch.load(sys.argv[1], weights_only=False)
for parameter in weights["model"].parameters():
    parameter.data.fill_(float("nan"))
torch.save(weights, "nan.pt")
"""
    run_code(code, trained.out / "artifacts" / "best.pt", folder=tmp_path)
    model = {"kind": "weights", "path_or_name": str(tmp_path / "nan.pt")}
    child = start(tmp_path / "out", tree, params=PARAMS, model=model)
    assert child.end() == 1
    assert child.problem()["slug"] == "diverged", child.log()[-2000:]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of a set in which some JPEG files have bytes behind their end, as some phones leave them."""
    folder = tmp_path_factory.mktemp("prepared")
    files = voc_files()
    for number in (0, 3, 4, 7):
        files[f"images/p{number:02d}.jpg"] += bytes(range(208))
    archive = zip_files(folder / "data.zip", files)
    assert run(["prepare", str(archive), str(folder / "out")]) == 0
    return folder / "out" / "tree"


def _digests(tree: Path) -> dict[str, str]:
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_a_training_changes_nothing_in_a_tree(prepared: Path, tmp_path: Path) -> None:
    before = _digests(prepared)
    child = start(tmp_path / "out", prepared, params={**PARAMS, "epochs": 1})
    assert child.end() == 0, child.log()[-3000:]
    assert _digests(prepared) == before
    assert "corrupt" not in child.log()


@pytest.mark.slow
def test_nor_in_a_tree_whose_images_ultralytics_would_write_anew(prepared: Path, tmp_path: Path) -> None:
    """As earlier versions of Darkroom prepared it: OpenCV reads it nevertheless."""
    tree = shutil.copytree(prepared, tmp_path / "tree")
    for image in (tree / "images").rglob("*.jpg"):
        image.write_bytes(image.read_bytes() + b"behind the end")
    before = _digests(tree)
    child = start(tmp_path / "out", tree, params={**PARAMS, "epochs": 1})
    assert child.end() == 0, child.log()[-3000:]
    assert _digests(tree) == before


def _cut(image: Path) -> None:
    content = image.read_bytes()
    image.write_bytes(content[: marker_starts(content)[-1]])


def _add(image: Path) -> None:
    image.with_name("stranger.jpg").write_bytes(jpeg(seed=7))


@pytest.mark.parametrize("split", ["train", pytest.param("val", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("change", "named"), [(Path.unlink, ""), (_cut, ".jpg"), (_add, "stranger")], ids=["lost", "unreadable", "added"]
)
def test_other_images_than_the_manifest_lists_are_a_typed_failure_that_names_them(
    prepared: Path, tmp_path: Path, split: str, change: Callable[[Path], None], named: str
) -> None:
    tree = shutil.copytree(prepared, tmp_path / "tree")
    image = sorted((tree / "images" / split).iterdir())[0]
    change(image)
    child = start(tmp_path / "out", tree, params={**PARAMS, "epochs": 1})
    assert child.end() == 1
    problem = child.problem()
    assert problem["slug"] == "images-differ", child.log()[-2000:]
    (file,) = problem["facts"]["files"]
    assert problem["facts"]["split"] == split
    assert (named or image.stem) in file and file in problem["detail"]


@pytest.mark.slow
def test_an_rtdetr_is_measured_by_the_scores_of_its_boxes(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from pipeline.trainers.yolo.environment import go_offline
go_offline(Path("config"))
import torch
from ultralytics.nn.tasks import RTDETRDetectionModel
from pipeline.trainers.yolo.predictor import YoloPredictor

network = {
    "nc": 9,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[1], 1, "RTDETRDecoder", ["nc", 32, 20, 2, 2, 1]]],
}
model = RTDETRDetectionModel(network, nc=9, verbose=False).eval()
model.names, model.args = {number: str(number) for number in range(9)}, {"imgsz": 64}
torch.save({"model": model}, "best.pt")
predictor = YoloPredictor(Path("best.pt"), None)
assert predictor.raw(torch.zeros(1, 3, 64, 64).numpy()).shape == (1, 20, 6)
predictor.raw = lambda _: torch.tensor([[[0.5, 0.5, 0.2, 0.2, 0.7, 8], [0.1, 0.1, 0.1, 0.1, 0.3, 2]]]).numpy()
print(*predictor.measured(Path(sys.argv[1]).read_bytes())[:, 4:].round(2).ravel())
"""
    Image.new("RGB", (96, 64), (200, 30, 30)).save(tmp_path / "image.png")
    assert run_code(code, "image.png", folder=tmp_path).splitlines()[-1] == "0.7 8.0 0.3 2.0"


@pytest.mark.slow
def test_data_yaml_loads_from_any_folder(prepared: Path, trained: Child, tree: Path, tmp_path: Path) -> None:
    code = """
import sys
from ultralytics.data.utils import check_det_dataset
for file in sys.argv[1:]:
    data = check_det_dataset(file)
    print(data["train"], data["val"])
"""
    published = shutil.copytree(tree, tmp_path / "published")
    shutil.copyfile(trained.out / "artifacts" / "data.yaml", published / "data.yaml")
    relative = os.path.relpath(prepared, tmp_path)
    named = [prepared / "data.yaml", published / "data.yaml", f"{relative}/data.yaml", "published/data.yaml"]
    printed = run_plain(code, *named, folder=tmp_path)
    folders = [f"{root}/images/train {root}/images/val" for root in (prepared.resolve(), published.resolve())]
    assert [line for line in printed.splitlines() if line.startswith("/")] == folders * 2


@pytest.mark.slow
def test_a_repaired_set_of_yolo_loads_from_any_folder(tmp_path: Path) -> None:
    code = """
import sys
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_det_dataset
data = check_det_dataset(sys.argv[1])
for split in ("train", "val"):
    print(len(YOLODataset(img_path=data[split], data=data, task="detect").im_files))
"""
    archive, repaired = zip_files(tmp_path / "data.zip", yolo_files()), tmp_path / "repaired.zip"
    assert run(["repair", str(archive), str(repaired), "--processes", "1"]) == 0
    shutil.unpack_archive(repaired, tmp_path / "set")
    printed = run_code(code, "set/data.yaml", folder=tmp_path)
    assert [line for line in printed.splitlines() if line.isdigit()] == ["10", "2"]


@pytest.mark.slow
def test_a_full_disk_is_no_space(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "artifacts"
    folder.mkdir(parents=True)
    (folder / "best.pt").symlink_to("/dev/full")  # a real ENOSPC
    child = start(tmp_path / "out", tree, params={**PARAMS, "epochs": 1})
    assert child.end() == 1
    assert child.problem()["slug"] == "no-space", child.log()[-2000:]
