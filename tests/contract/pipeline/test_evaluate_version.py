"""Exports on prepared datasets: figures, classes by name, images that the model was trained on, refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import EvaluationKindMismatch, ExportUnsupported, NoSharedClass
from pipeline.__main__ import run
from pipeline.evaluation.image_results import read_results
from pipeline.evaluation.paired import write_paired
from pipeline.evaluation.read_answers import read_answers_summary
from pipeline.evaluation.read_paired import read_summary
from pipeline.model_evaluation.run import evaluate_version
from pipeline.process.child import Channel, RunCancelled
from pipeline.process.progress import StageReporter
from pipeline.process.results import Evaluated, read_result_of
from pipeline.process.specs import EvaluateSpec
from tests.builders.colour_models import CLASSES, DetectorModel, export_of
from tests.builders.evaluated_sets import prepared, saved_again, scene_files, texture_files
from tests.builders.exported_in_thread import write_openvino

KINDS = ("detection", "classification")
REPORT = {"image_results.npz", "metrics.json", "evaluation.json", "predictions.jsonl", "report.html", "report.xlsx"}
Sets = dict[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """By kind: the tree and the image index."""
    folder = tmp_path_factory.mktemp("sets")
    return {
        "detection": prepared(folder / "detection", scene_files(folder)),
        "classification": prepared(folder / "classification", texture_files({"train": 8, "val": 4, "test": 6})),
    }


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {kind: export_of(kind, folder / f"{kind}.onnx") for kind in KINDS}


def spec_of(out: Path, model: Path, tree: Path, **changes: Any) -> EvaluateSpec:
    content: dict[str, Any] = {"split": "test", "trained_on_known": False, **changes}
    return EvaluateSpec(
        out=out, model=model, trainer=None, name="shapes/v1", dataset=tree, dataset_name="shapes/d2", **content
    )


def evaluated(out: Path, model: Path, tree: Path, **changes: Any) -> dict[str, Any]:
    return evaluate_version(spec_of(out, model, tree, **changes), StageReporter()).metrics


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_has_figures_and_the_full_report(
    kind: str, sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, exports[kind], sets[kind][0])
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    assert run(["evaluate-version", "--config", str(tmp_path / "spec.json")]) == 0
    result = read_result_of(tmp_path, Evaluated)
    assert result is not None
    main = {"detection": "mAP50", "classification": "accuracy"}[kind]
    assert result.metrics[main] > 0.9 and result.metrics["images"] == 18
    low, high = result.metrics["intervals"][main]
    assert low <= result.metrics[main] <= high
    seen = result.metrics["seen"]
    assert (seen["known"], seen["images"], seen["val"]["images"]) == (False, None, None), "0 would be a claim"
    assert result.metrics["unseen"] is None
    files = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert files >= REPORT | {"test_confusion_matrix.png"}
    metrics = json.loads((tmp_path / "artifacts" / "metrics.json").read_text())
    assert metrics["test"][main] == result.metrics[main] and metrics["val"] is None
    lines = (tmp_path / "artifacts" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 18 and all(json.loads(line).keys() >= {"path"} for line in lines)
    results = read_results(tmp_path / "artifacts" / "image_results.npz")
    write_paired(results, results, tmp_path / "paired.sqlite")
    paired = read_summary(tmp_path / "paired.sqlite")
    assert (paired["tied"], paired["won"], paired["lost"]) == (18, 0, 0)
    for figure in paired["figures"]:
        assert figure["first"] == figure["second"] == pytest.approx(result.metrics[figure["metric"]], abs=1e-5)
    summary, matrix = listed_answers(tmp_path / "artifacts", result.metrics)
    found = metrics["test"]["confusion_matrix"]
    assert (summary["labels"], matrix, summary["images"]) == (found["labels"], found["matrix"], 18)
    assert (summary["min_score"], summary["min_iou"]) == (found.get("min_score"), found.get("min_iou"))


def listed_answers(artifacts: Path, metrics: dict[str, Any]) -> tuple[dict[str, Any], list[list[int]]]:
    """Of the images as the API has them listed for pages: the summary, and the confusion matrix of its cells."""
    thresholds = artifacts.parent / "thresholds.json"
    thresholds.write_text(json.dumps(metrics["thresholds"]))
    files = [str(artifacts / name) for name in ("image_results.npz", "predictions.jsonl")]
    target = artifacts.parent / "answers.sqlite"
    assert run(["list-answers", *files, str(thresholds), "--out", str(target)]) == 0
    summary = read_answers_summary(target)
    matrix = [[0] * len(summary["labels"]) for _ in summary["labels"]]
    for row, column, count in summary["cells"]:
        matrix[row][column] = count
    return summary, matrix


def test_the_command_for_people_takes_an_export(
    sets: Sets, exports: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--model", str(exports["detection"]), "--dataset", str(sets["detection"][0]), "--out", str(tmp_path)]
    assert run(["evaluate", *wanted, "--split", "val"]) == 0
    assert json.loads((tmp_path / "artifacts" / "metrics.json").read_text())["val"]["mAP50"] > 0.9
    assert f"All results are in {tmp_path}" in capsys.readouterr().out


@pytest.mark.slow
def test_openvino_has_the_figures_of_onnx(sets: Sets, exports: dict[str, Path], tmp_path: Path) -> None:
    model = write_openvino(exports["detection"], tmp_path)
    tree, _ = sets["detection"]
    first = evaluated(tmp_path / "onnx", exports["detection"], tree)
    second = evaluated(tmp_path / "openvino", model, tree)
    for name in ("mAP50", "mAP50-95", "precision", "recall", "f1"):
        assert first[name] == pytest.approx(second[name], abs=1e-3), name


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_matched_by_name(kind: str, exports: dict[str, Path], tmp_path: Path) -> None:
    """Red is spelt otherwise, blue is not known to the model by its name here."""
    names = ("Red", "green", "violet")
    files = (
        scene_files(tmp_path, classes=names)
        if kind == "detection"
        else texture_files({"train": 4, "test": 6}, names=names)
    )
    tree, _ = prepared(tmp_path / "set", files)
    found = evaluated(tmp_path / "out", exports[kind], tree)
    assert found["classes"] == {
        "compared": ["Red", "green"],
        "missing": ["violet"],
        "extra": ["blue"],
        "respelt": [{"dataset": "Red", "model": "red"}],
        "counts": {"compared": 2, "missing": 1, "extra": 1, "respelt": 1},
    }
    main = {"detection": "mAP50-95", "classification": "accuracy"}[kind]
    assert found["left_out"]["count"] > 0 and found["left_out"]["figure"] < 0.7 * found[main]
    metrics = json.loads((tmp_path / "out" / "artifacts" / "metrics.json").read_text())
    _, matrix = listed_answers(tmp_path / "out" / "artifacts", found)
    assert matrix == metrics["test"]["confusion_matrix"]["matrix"]
    report = (tmp_path / "out" / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert "spelt otherwise in the model" in report and "violet" in report


def test_a_model_without_a_shared_class_or_of_another_kind_is_refused(
    sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    tree, _ = prepared(tmp_path / "set", texture_files({"train": 4, "test": 2}, names=("a", "b")))
    with pytest.raises(NoSharedClass, match="red, green, blue; the dataset has a, b"):
        evaluated(tmp_path / "out", exports["classification"], tree)
    with pytest.raises(EvaluationKindMismatch, match="is for detection"):
        evaluated(tmp_path / "out", exports["detection"], tree)
    with pytest.raises(ExportUnsupported, match="is for other programs"):
        evaluated(tmp_path / "out", tmp_path / "model.torchscript", tree)


def test_images_that_the_model_was_trained_on_are_named_and_left_out(
    sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    first = texture_files({"train": 8, "val": 4, "test": 6})
    _, trained_on = sets["classification"]
    files = texture_files({"train": 4, "test": 6}, seed=1)
    files["test/red/equal.png"] = first["train/red/0-000.png"]
    files["test/green/saved-again.jpg"] = saved_again(first["train/green/0-001.png"])
    files["test/blue/validated.png"] = first["val/blue/0-002.png"]
    tree, index = prepared(tmp_path / "set", files)
    found = evaluated(
        tmp_path / "out",
        exports["classification"],
        tree,
        index=index,
        trained_on=(trained_on,),
        trained_on_names=("shapes/d1",),
        trained_on_known=True,
    )
    seen = found["seen"]
    assert (seen["known"], seen["images"], seen["same"], seen["near"], seen["val"]["images"]) == (True, 2, 1, 1, 1)
    assert {each["path"]: (each["part"], each["like"]) for each in seen["listed"]} == {
        "test/blue/validated.png": ("val", "val/blue/0-002.png"),
        "test/green/saved-again.jpg": ("train", "train/green/0-001.png"),
        "test/red/equal.png": ("train", "train/red/0-000.png"),
    }
    assert (found["images"], found["unseen"]["images"], found["untouched"]["images"]) == (21, 19, 18)
    with (tmp_path / "out" / "artifacts" / "seen_images.csv").open(encoding="utf-8") as file:
        assert [row["dataset"] for row in csv.DictReader(file)] == ["shapes/d1"] * 3
    report = (tmp_path / "out" / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert "test/green/saved-again.jpg" in report and "a near-duplicate" in report


def test_without_enough_unseen_images_there_is_no_figure_and_a_sentence(
    sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    tree, index = sets["classification"]
    found = evaluated(
        tmp_path,
        exports["classification"],
        tree,
        split="train",
        index=index,
        trained_on=(index,),
        trained_on_known=True,
    )
    assert found["seen"]["images"] == found["images"] == 24 and found["unseen"] is None
    assert found["unseen_note"].startswith(
        "Without the 24 images that the model was trained on, 0 images would be left"
    )


def test_where_not_all_datasets_are_known_nothing_is_claimed_of_them(
    sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    _, trained_on = sets["classification"]
    tree, index = prepared(tmp_path / "set", texture_files({"train": 4, "test": 4}, seed=1))
    known: dict[str, Any] = {"index": index, "trained_on": (trained_on,), "trained_on_known": False}
    found = evaluated(tmp_path / "out", exports["classification"], tree, **known)
    assert found["seen"]["known"] is False and found["unseen"]["images"] == 12
    assert found["unseen_note"] == "As far as its datasets are known, the model was trained on none of the images."


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(None, marks=pytest.mark.slow),
        {"all": 0.3, "source": "val", "classes": {"red": 0.25}, "sources": {"red": "val"}},
    ],
)
def test_the_thresholds_of_an_export_are_those_in_the_file(
    row: dict[str, Any] | None, sets: Sets, exports: dict[str, Path], tmp_path: Path
) -> None:
    """The row of a version has those of its first classes."""
    found = evaluated(tmp_path, exports["detection"], sets["detection"][0], thresholds=row)["thresholds"]
    assert found["classes"] == dict(zip(CLASSES, DetectorModel.thresholds, strict=True))
    assert found["all"] == (0.3 if row else 0.25)


def test_an_evaluation_is_cancelled_between_two_images(sets: Sets, exports: dict[str, Path], tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    steps = StageReporter(channel)
    spec = spec_of(tmp_path, exports["detection"], sets["detection"][0])
    ticks: list[int] = []

    def cancel_at_the_third(done: int, total: int) -> None:
        ticks.append(done)
        if done == 3:
            channel.cancelled.set()
        StageReporter.tick(steps, done, total)

    steps.tick = cancel_at_the_third  # type: ignore[method-assign]
    with pytest.raises(RunCancelled):
        evaluate_version(spec, steps)
    assert ticks == [1, 2, 3]
    channel.close()
