"""Models that were trained elsewhere: whole ones become what the trainers publish, the others are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from pipeline.model_import.folder import CLASSIFIERS as MODEL_TYPES
from pipeline.trainers import clip, vit, yolo
from tests.builders.class_folders import folder_files
from tests.builders.foreign_models import CLASSES, clip_files, detector, pt_of, vit_files, zip_of
from tests.builders.hostile_models import CLASSIFIERS, DETECTORS, MARK
from tests.builders.voc import image_bytes, voc_files, zip_files
from tests.builders.warm_children import run_warm

REFUSED = {**CLASSIFIERS, **DETECTORS}

Import = Callable[..., Path]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Every hostile model, imported in one process: its folder, and the problem of each."""
    folder = tmp_path_factory.mktemp("hostile")
    run_warm("yolo", "-m", "tests.builders.hostile_models", folder, folder=folder, seconds=240)
    return folder, json.loads((folder / "outcomes.json").read_text())


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import a model and return the folder of its artifacts."""

    def import_it(name: str, content: bytes, *more: str) -> Path:
        source, out = tmp_path / name, tmp_path / "out"
        source.write_bytes(content)
        problem = out / "problem.json"
        assert run(["import-model", str(source), str(out), *more]) == 0, problem.read_text()
        return out / "artifacts"

    return import_it


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(image_bytes(format="PNG"))
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_is_hostile_or_broken_is_refused_with_its_reason(
    name: str, outcomes: tuple[Path, dict[str, Any]]
) -> None:
    problem = outcomes[1][name]
    assert problem["slug"] == "model-refused"
    assert REFUSED[name][1] in problem["detail"]
    assert problem["facts"]["reasons"][0].keys() == {"path", "detail"}


def test_nothing_of_a_refused_model_runs_or_leaves_its_folder(outcomes: tuple[Path, dict[str, Any]]) -> None:
    folder, found = outcomes
    assert not (folder / MARK).exists()
    made = {path.name for path in folder.iterdir() if path.is_dir()}
    assert made <= {*found, "ultralytics", "hub"}
    assert not [path for name in found for path in (folder / name).rglob("*") if path.suffix in (".py", ".pt", ".zip")]


def test_a_detector_predicts_the_same_after_its_import(imported: Import, image: Path) -> None:
    given = detector(("a", "b", "c"), seed=3)
    artifacts = imported("theirs.pt", pt_of(given, train_args={"imgsz": 96, "project": "/home/me"}))
    image.with_name("given.pt").write_bytes(pt_of(given.half(), train_args={"imgsz": 96}))
    predicted, expected = (
        yolo.load(each).predict(image, min_score=1e-6) for each in (artifacts, image.with_name("given.pt"))
    )
    assert predicted
    assert [one.label for one in predicted] == [one.label for one in expected]
    assert [one.score for one in predicted] == pytest.approx([one.score for one in expected], abs=0.01)
    about = json.loads((artifacts / "model.json").read_text())
    assert about["classes"] == ["a", "b", "c"]
    assert (about["origin"], about["input_size"], about["evaluated_on"]) == ("imported", 96, None)
    assert not (artifacts / "metrics.json").exists()


def test_hooks_and_other_attributes_of_a_detector_stay_behind(imported: Import) -> None:
    from torch.nn import Identity

    given = detector()
    given.model[0].register_forward_hook(Identity())
    given.model[0].forward = Identity()
    artifacts = imported("hooked.pt", pt_of(given))
    from pipeline.trainers.yolo.weights import model_in, read_weights

    first = model_in(read_weights(artifacts / "best.pt")).model[0]
    assert not first._forward_hooks
    assert "forward" not in vars(first)


def test_layers_of_all_stock_detectors_are_known() -> None:
    import ultralytics
    import yaml

    from pipeline.trainers.yolo.adopted import HEADS, LAYERS

    described = [
        yaml.safe_load(path.read_text())
        for path in sorted((Path(ultralytics.__file__).parent / "cfg" / "models").glob("*/*.yaml"))
    ]
    detectors = [each for each in described if each["head"][-1][2] in HEADS]
    assert len(detectors) > 20
    assert {str(row[2]) for each in detectors for row in each["backbone"] + each["head"]} <= LAYERS


def test_the_supported_classifiers_are_those_of_transformers() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    assert set(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES) >= MODEL_TYPES


def test_a_classifier_in_a_folder_of_its_zip_is_imported_without_the_other_files(imported: Import, image: Path) -> None:
    files = vit_files() | {"training_args.bin": b"pickle", "README.md": b"text"}
    artifacts = imported("theirs.zip", zip_of({f"model/{name}": content for name, content in files.items()}))
    assert {one.label for one in vit.load(artifacts).predict(image)} == set(CLASSES)
    result = json.loads((artifacts.parent / "result.json").read_text())
    assert result["notes"] == ["2 files of the ZIP not used: README.md, training_args.bin"]
    assert sorted(path.name for path in artifacts.iterdir()) == ["model.json", "model.zip"]


@pytest.mark.slow
def test_a_classifier_is_evaluated_on_a_named_dataset(imported: Import, tmp_path: Path) -> None:
    tree = _prepared(zip_files(tmp_path / "set.zip", folder_files(classes=("box", "disc"))), tmp_path / "set")
    artifacts = imported("theirs.zip", zip_of(vit_files()), "--dataset", str(tree))
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert metrics["val"]["images"] and metrics["test"]["images"]
    assert (artifacts / "report.html").is_file()
    assert json.loads((artifacts / "model.json").read_text())["evaluated_on"]


@pytest.mark.slow
def test_a_detector_is_evaluated_on_a_named_dataset(imported: Import, tmp_path: Path) -> None:
    tree = _prepared(zip_files(tmp_path / "set.zip", voc_files()), tmp_path / "set")
    artifacts = imported("theirs.pt", pt_of(detector(("ball", "cube"))), "--dataset", str(tree))
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert set(metrics["val"]["per_class"]) == set(metrics["test"]["per_class"]) == {"ball", "cube"}
    assert set(metrics["thresholds"]["sources"]) == {"ball", "cube"}, "its own, from val of the named dataset"


def test_a_model_of_other_classes_than_the_dataset_is_refused(tmp_path: Path) -> None:
    tree = _prepared(zip_files(tmp_path / "set.zip", folder_files(classes=("cat", "dog"))), tmp_path / "set")
    source, out = tmp_path / "theirs.zip", tmp_path / "out"
    source.write_bytes(zip_of(vit_files()))
    assert run(["import-model", str(source), str(out), "--dataset", str(tree)]) == 1
    problem = json.loads((out / "problem.json").read_text())
    assert problem["slug"] == "model-refused"
    assert "box, disc" in problem["detail"] and "cat, dog" in problem["detail"]


@pytest.mark.slow
def test_a_clip_model_gets_the_classes_of_a_named_dataset_and_can_be_imported_again(
    imported: Import, image: Path, tmp_path: Path
) -> None:
    tree = _prepared(zip_files(tmp_path / "set.zip", folder_files(classes=("cat", "dog"))), tmp_path / "set")
    artifacts = imported("clip.zip", zip_of(clip_files()), "--dataset", str(tree))
    first = clip.load(artifacts).predict(image)
    again = imported("again.zip", (artifacts / "model.zip").read_bytes())
    second = clip.load(again).predict(image)
    assert [one.label for one in first] == [one.label for one in second]
    assert [one.score for one in first] == pytest.approx([one.score for one in second])


def _prepared(archive: Path, out: Path) -> Path:
    assert run(["prepare", str(archive), str(out)]) == 0
    return out / "tree"
