"""Trainings of what `prepare` writes: every image is read, the names of classes are kept, and no byte of it changes."""

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.__main__ import run
from tests.builders.clip_model import make_clip
from tests.builders.reported_cases import ODD_NAMES
from tests.builders.training import Child, start_training
from tests.builders.voc import Files, annotation, image_bytes, zip_files

pytestmark = pytest.mark.slow

YOLO: dict[str, Any] = {"epochs": 1, "imgsz": 64, "batch": 4, "pretrained": "never", "device": "cpu"}
VIT: dict[str, Any] = {"model": "vit-nano-scratch", "epochs": 1, "image_size": 32, "batch": 8, "device": "cpu"}
CLIP: dict[str, Any] = {"model": "org/tiny", "batch": 8, "device": "cpu", "suspect_labels": False}
MODES = {
    "l.png": ("L", "PNG"),
    "la.png": ("LA", "PNG"),
    "one.png": ("1", "PNG"),
    "p.png": ("P", "PNG"),
    "rgba.png": ("RGBA", "PNG"),
    "i16.png": ("I;16", "PNG"),
    "cmyk.jpg": ("CMYK", "JPEG"),
    "grey.jpg": ("L", "JPEG"),
    "gif.gif": ("P", "GIF"),
    "webp.webp": ("RGB", "WEBP"),
}


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of every mode, some with bytes behind their end."""
    files: Files = {}
    for number in range(30):
        suffix = list(MODES)[number % len(MODES)]
        mode, kind = MODES[suffix]
        for at, name in enumerate(("sunny", "cloudy")):
            content = image_bytes(seed=2 * number + at, mode=mode, format=kind)
            files[f"{name}/{number}_{suffix}"] = content + (bytes(range(208)) if kind == "JPEG" else b"")
    return _tree(tmp_path_factory.mktemp("classified"), files, images=60)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, while they are imported
        return make_clip(tmp_path_factory.mktemp("weights") / "org--tiny")


def test_vit_reads_every_mode_and_leaves_the_tree_as_it_is(classified: Path, tmp_path: Path) -> None:
    before = _digests(classified)
    child = _trained(tmp_path / "out", classified, trainer="vit", params=VIT)
    artifacts = child.out / "artifacts"
    manifest = json.loads((classified / "manifest.json").read_text())
    validated = [image for image in manifest["images"] if image["split"] == "val"]
    assert child.artifact("metrics.json")["val"]["images"] == len(validated)
    arguments = ["--model", str(artifacts), "--dataset", str(classified), "--out", str(tmp_path / "report")]
    assert run(["evaluate", *arguments]) == 0
    for suffix, (mode, kind) in MODES.items():
        image = tmp_path / suffix
        image.write_bytes(image_bytes(seed=99, mode=mode, format=kind))
        drawn = ["--image", str(image), "--out", str(tmp_path / "drawn.png")]
        assert run(["predict", "--model", str(artifacts), *drawn]) == 0, suffix
    assert _digests(classified) == before


@pytest.mark.parametrize("mode", ["zero-shot", "linear-probe", "fine-tune"])
def test_clip_leaves_the_tree_as_it_is(classified: Path, weights: Path, tmp_path: Path, mode: str) -> None:
    before = _digests(classified)
    params = {**CLIP, "mode": mode, **({} if mode == "zero-shot" else {"epochs": 1})}
    _trained(tmp_path / "out", classified, trainer="clip", params=params, model=_source(weights))
    assert _digests(classified) == before


@pytest.mark.parametrize("split", ["train", "val"])
def test_clip_fails_for_other_images_than_the_manifest_lists_and_names_them(
    classified: Path, weights: Path, tmp_path: Path, split: str
) -> None:
    changed = shutil.copytree(classified, tmp_path / "tree")
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["images"].append({"path": "sunny/lost.png", "split": split})
    (changed / "manifest.json").write_text(json.dumps(manifest))
    params = {**CLIP, "mode": "linear-probe", "epochs": 1}
    child = start_training(tmp_path / "out", changed, trainer="clip", params=params, model=_source(weights))
    assert child.end() == 1
    problem = child.problem()
    assert problem["slug"] == "images-differ", child.log()[-2000:]
    assert (problem["facts"]["split"], problem["facts"]["files"]) == (split, ["sunny/lost.png"])


def test_yolo_keeps_the_names_of_classes_as_text(tmp_path: Path) -> None:
    files: Files = {}
    for at in range(12):
        boxes = [(name, 5 * k + 1, 4 * k + 1, 25 + 5 * k, 25 + 4 * k) for k, name in enumerate(ODD_NAMES)]
        files[f"images/p{at}.jpg"] = image_bytes(seed=at, size=(96, 96))
        files[f"xml/p{at}.xml"] = annotation(f"p{at}.jpg", boxes, size=(96, 96))
    tree = _tree(tmp_path / "set", files, images=12)
    before = _digests(tree)
    child = _trained(tmp_path / "out", tree, params=YOLO)
    published = yaml.safe_load((child.out / "artifacts" / "data.yaml").read_text())
    assert published["names"] == dict(enumerate(sorted(ODD_NAMES)))
    assert child.artifact("model.json")["classes"] == sorted(ODD_NAMES)
    assert set(child.artifact("metrics.json")["val"]["per_class"]) == set(ODD_NAMES)
    assert _digests(tree) == before


def test_yolo_measures_nothing_on_a_validation_part_of_background_and_reports_that(tmp_path: Path) -> None:
    files: Files = {"data.yaml": b"train: images/train\nval: images/val\nnames: [crab]\n"}
    for at, size in enumerate([(96, 64), (96, 64), (1200, 40), (12, 900), (96, 64)]):
        files[f"images/train/{at}.jpg"] = image_bytes(seed=at, size=size)
        files[f"labels/train/{at}.txt"] = b"0 0.5 0.5 0.4 0.4\n"
    files["images/val/5.jpg"] = image_bytes(seed=5)
    tree = _tree(tmp_path / "set", files, images=6)
    before = _digests(tree)
    child = _trained(tmp_path / "out", tree, params=YOLO)
    assert [note["text"] for note in child.lines("note")] == ["no image of val has a box: nothing was measured on it"]
    val = child.artifact("metrics.json")["val"]
    assert (val["images"], val["boxes"], val["mAP50"], val["f1"]) == (1, 0, None, None)
    for path in (child.out / "artifacts").glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)  # NaN and Infinity are not JSON
    assert _digests(tree) == before


def _tree(folder: Path, files: Files, *, images: int) -> Path:
    folder.mkdir(exist_ok=True)
    assert run(["prepare", str(zip_files(folder / "data.zip", files)), str(folder / "out"), "--processes", "1"]) == 0
    assert json.loads((folder / "out" / "result.json").read_text())["images"] == images
    return folder / "out" / "tree"


def _trained(out: Path, tree: Path, **spec: Any) -> Child:
    child = start_training(out, tree, **spec)
    assert child.end() == 0, child.log()[-3000:]
    return child


def _source(weights: Path) -> dict[str, str]:
    return {"kind": "weights", "path_or_name": str(weights)}


def _digests(tree: Path) -> dict[str, str]:
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
