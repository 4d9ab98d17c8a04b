"""What every trainer does, through `python -m pipeline train` as a worker starts it."""

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from pipeline.params.catalogue import CATALOGUE
from pipeline.process.results import Exported, read_problem, read_result_of
from pipeline.process.specs import ExportSpec
from tests import REPOSITORY
from tests.builders.classification_tree import draw_classified_tree
from tests.builders.clip_model import make_clip
from tests.builders.training import CLASSES, Child, draw_tree, start_training
from tests.builders.warm_children import start_warm

Start = Callable[..., Child]

MANY = 200  # more epochs than a test waits for


@dataclass(frozen=True)
class Case:
    """A trainer with small, quick params. `draw` makes a tree of 24 + 8 + 6 images; without its file `missing` a
    training crashes. `make` writes the weights that a trainer needs into a folder."""

    params: dict[str, Any]
    draw: Callable[..., Path]
    metrics: set[str]
    missing: str
    make: Callable[[Path], Path] | None = None


CASES = {
    "yolo": Case(
        {"epochs": 2, "imgsz": 64, "batch": 8, "lr0": 0.002, "device": "cpu"},
        draw_tree,
        {"mAP50", "mAP50-95", "precision", "recall", "f1"},
        missing="data.yaml",
    ),
    "vit": Case(
        {"model": "vit-nano-scratch", "epochs": 2, "image_size": 32, "batch": 8, "device": "cpu"},
        draw_classified_tree,
        {"accuracy", "f1", "precision", "recall"},
        missing="classes.json",
    ),
    "clip": Case(
        {"mode": "fine-tune", "model": "org/tiny", "epochs": 2, "batch": 8, "lr": 0.001, "device": "cpu"},
        draw_classified_tree,
        {"accuracy", "f1", "precision", "recall"},
        missing="classes.json",
        make=make_clip,
    ),
}
PARAMS = {name: case.params for name, case in CASES.items()}


# The contract of one trainer takes more than a minute, and `make test` ten in all: `make test-all` runs every one.
IN_EVERY_RUN = {"yolo"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.slow) for name in sorted(CATALOGUE)],
)
def trainer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def start(trainer: str, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a training of this trainer; `spec`: members of spec.json."""
    make = CASES[trainer].make
    folder = make(tmp_path_factory.mktemp("weights") / "org--tiny") if make else None
    model = {"model": {"kind": "weights", "path_or_name": str(folder)}} if folder else {}

    def started(out: Path, tree: Path, **spec: Any) -> Child:
        return start_training(out, tree, trainer=trainer, **{"params": PARAMS[trainer], **model, **spec})

    return started


@pytest.fixture(scope="module")
def tree(trainer: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return CASES[trainer].draw(tmp_path_factory.mktemp("tree") / "tree")


@pytest.fixture(scope="module")
def finished(start: Start, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Child:
    """A completed run; its network attempts are in `out/network`."""
    out = tmp_path_factory.mktemp("finished")
    child = start(out, tree, guard=out / "network", run_id="run_1", fingerprint="f" * 64)
    assert child.end() == 0, child.log()[-3000:]
    return child


@pytest.fixture(scope="module")
def killed(trainer: str, start: Start, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a run of four epochs that was killed with SIGKILL in its third, on another machine: both its
    folder and the dataset have moved since."""
    out = tmp_path_factory.mktemp("killed")
    private = shutil.copytree(tree, out / "tree")
    child = start(out / "run", private, params={**PARAMS[trainer], "epochs": 4}, checkpoint_seconds=0)
    child.wait_for(lambda child: any(line["epoch"] == 2 for line in child.lines("checkpoint")))
    child.kill()
    checkpoint = Path(shutil.move(out / "run" / "checkpoints" / "000002", out / "elsewhere"))
    shutil.rmtree(out / "run")
    shutil.rmtree(private)
    return checkpoint


@pytest.fixture
def running(trainer: str, start: Start, tmp_path: Path) -> Iterator[Child]:
    """A run in its second epoch of very many, on a dataset without a test split."""
    params = {**PARAMS[trainer], "epochs": MANY}
    tree = CASES[trainer].draw(tmp_path / "tree", test=0)
    child = start(tmp_path / "out", tree, params=params)
    child.wait_for(lambda child: child.lines("epoch"))
    yield child
    if child.process.poll() is None:
        child.kill()


def test_a_run_reports_its_stages_and_every_epoch_in_order(finished: Child, trainer: str) -> None:
    assert [line["stage"] for line in finished.lines("stage")] == ["loading", "training", "evaluating", "packing"]
    epochs = finished.lines("epoch")
    assert [(line["epoch"], line["epochs"]) for line in epochs] == [(1, 2), (2, 2)]
    assert (CASES[trainer].metrics - {"f1"}) | {"lr"} <= set(epochs[-1]["metrics"])
    assert epochs[0]["seconds_left"] >= (0 if trainer == "clip" else 0.1)  # rounded to tenths
    assert epochs[-1]["seconds_left"] == 0


def test_a_run_makes_no_network_access(finished: Child) -> None:
    attempts = (finished.out / "network").read_text().splitlines()
    assert attempts, "the guard was not active"
    assert [line for line in attempts if line != "watching"] == []


def test_model_json_is_the_last_file_and_describes_the_model(finished: Child, trainer: str) -> None:
    model = finished.artifact("model.json")
    assert model["classes"] == list(CLASSES)
    assert (model["kind"], model["ended"], model["epochs_done"]) == (CATALOGUE[trainer].kind, "completed", 2)
    assert (model["run_id"], model["fingerprint"]) == ("run_1", "f" * 64)
    artifacts = sorted((finished.out / "artifacts").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert artifacts[-1].name == "model.json"
    assert model["weights"]["bytes"] == (finished.out / "artifacts" / model["weights"]["name"]).stat().st_size


def test_metrics_are_those_of_the_best_model_on_val_and_on_the_untouched_test_split(
    finished: Child, trainer: str
) -> None:
    metrics = finished.artifact("metrics.json")
    for split, images in (("val", 8), ("test", 6)):
        assert metrics[split]["images"] == images
        assert set(metrics[split]["per_class"]) == set(CLASSES)
        assert all(0 <= metrics[split][name] <= 1 for name in CASES[trainer].metrics)
        assert metrics[split]["speed"]["inference"] > 0
        confusion = metrics[split]["confusion_matrix"]
        assert confusion["labels"][:2] == list(CLASSES)
        assert {len(row) for row in confusion["matrix"]} == {len(confusion["labels"])}


def test_thresholds_are_chosen_on_val_and_measured_on_test(finished: Child) -> None:
    metrics = finished.artifact("metrics.json")
    thresholds = metrics["thresholds"]
    assert thresholds["source"] in ("val", "default") and set(thresholds["classes"]) == set(CLASSES)
    for split in ("val", "test"):
        rows = [metrics[split], *metrics[split]["per_class"].values()]
        assert all(0 <= row["at_threshold"][name] <= 1 for row in rows for name in ("precision", "recall", "f1"))
    for name, source in thresholds["sources"].items():
        row = metrics["val"]["per_class"][name]
        assert source != "val" or row["at_threshold"]["f1"] >= row["f1"] - 0.005, "no confidence has a better F1"
    page = (finished.out / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Thresholds</h2>" in page


def test_a_report_is_published_as_a_page_and_as_a_workbook(finished: Child) -> None:
    page = (finished.out / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert all(f"<h2>{title}</h2>" in page for title in ("Summary", "Test", "Val", "Training"))
    assert page.count("data:image/png;base64,") >= 7  # of each split its matrix, its curves and a grid; the training
    book = load_workbook(finished.out / "artifacts" / "report.xlsx")
    assert {"Summary", "Classes test", "Confusion test", "Classes val", "Confusion val"} <= set(book.sheetnames)
    assert [cell.value for cell in book["Classes test"]["A"]] == ["class", *CLASSES]


@pytest.mark.slow  # `make test` covers the same code by the evaluation of a training
def test_evaluate_gives_the_metrics_of_the_run(finished: Child, trainer: str, tree: Path, tmp_path: Path) -> None:
    prepared = shutil.copytree(tree, tmp_path / "tree")
    (prepared / "manifest.json").write_text(json.dumps({"kind": CATALOGUE[trainer].kind}))
    arguments = [
        "--model",
        finished.out / "artifacts",
        "--dataset",
        prepared,
        "--out",
        tmp_path / "out",
        "--split",
        "val",
    ]
    command = [sys.executable, "-m", "pipeline", "evaluate", *map(str, arguments), "--device", "cpu"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads((tmp_path / "out" / "metrics.json").read_text())
    metrics = finished.artifact("metrics.json")["val"]
    assert again["test"] is None and again["thresholds"] == finished.artifact("metrics.json")["thresholds"]
    for name in CASES[trainer].metrics:
        assert again["val"][name] == pytest.approx(metrics[name], abs=1e-4)
    assert (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "report.xlsx").exists()


def test_nothing_published_names_a_folder_of_the_machine(finished: Child, tree: Path) -> None:
    for path in (finished.out / "artifacts").iterdir():
        content = path.read_bytes()
        for folder in (str(finished.out), str(tree), str(REPOSITORY)):
            assert folder.encode() not in content, path.name


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(finished: Child, start: Start, tree: Path, tmp_path: Path) -> None:
    again = start(tmp_path / "out", tree)
    assert again.end() == 0
    assert again.artifact("model.json")["weights"] == finished.artifact("model.json")["weights"]


def test_cancel_ends_a_run_within_two_seconds_without_a_model(running: Child) -> None:
    running.send("cancel")
    began = time.monotonic()
    assert running.end() == 76
    assert time.monotonic() - began < 2
    assert not (running.out / "artifacts" / "model.json").exists()


@pytest.mark.slow
def test_stop_keeps_and_evaluates_the_best_so_far(running: Child) -> None:
    running.send("stop")
    assert running.end() == 0, running.log()[-3000:]
    model = running.artifact("model.json")
    assert model["ended"] == "stopped"
    assert 1 <= model["epochs_done"] < MANY
    assert running.artifact("metrics.json")["test"] is None
    assert running.artifact("metrics.json")["val"]["images"] == 8


def test_a_child_ends_itself_when_its_supervisor_is_gone(running: Child) -> None:
    running.close_stdin()
    assert running.end(2) == -9


def test_a_run_killed_with_sigkill_resumes_at_the_next_epoch_elsewhere(
    killed: Path, trainer: str, start: Start, tmp_path: Path
) -> None:
    child = start(
        tmp_path / "out",
        CASES[trainer].draw(tmp_path / "tree", test=0),
        params={**PARAMS[trainer], "epochs": 4},
        resume=killed,
    )
    assert child.end() == 0, child.log()[-3000:]
    assert [line["epoch"] for line in child.lines("epoch")] == [3, 4]
    with (child.out / "artifacts" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    times = [float(row["time"]) for row in rows]
    assert times == sorted(times)
    assert child.artifact("model.json")["ended"] == "completed"


@pytest.mark.slow
def test_max_minutes_end_a_run_and_keep_the_best_so_far(
    killed: Path, start: Start, trainer: str, tree: Path, tmp_path: Path
) -> None:
    child = start(
        tmp_path / "out",
        tree,
        params={**PARAMS[trainer], "epochs": 4},
        resume=killed,
        seconds_left=0,
    )
    assert child.end() == 0, child.log()[-3000:]
    assert child.lines("epoch") == []
    assert (child.artifact("model.json")["ended"], child.artifact("model.json")["epochs_done"]) == ("max-minutes", 2)


def test_max_minutes_over_before_there_is_a_model_is_a_typed_failure(
    start: Start, trainer: str, tree: Path, tmp_path: Path
) -> None:
    params = {**PARAMS[trainer], "max_minutes": 0.001}
    child = start(tmp_path / "out", tree, params=params)
    assert child.end() == 1
    assert child.problem()["slug"] == "timed-out"


@pytest.mark.slow
def test_the_checkpoint_of_the_last_epoch_needs_only_evaluation(
    finished: Child, start: Start, tree: Path, tmp_path: Path
) -> None:
    last = finished.out / "checkpoints" / "000002"
    assert json.loads((last / "manifest.json").read_text())["ended"] == "completed"
    child = start(tmp_path / "out", tree, resume=last)
    assert child.end() == 0, child.log()[-3000:]
    assert [line["stage"] for line in child.lines("stage")] == ["loading", "evaluating", "packing"]
    assert child.artifact("model.json")["weights"] == finished.artifact("model.json")["weights"]


def test_a_damaged_checkpoint_is_refused(killed: Path, start: Start, trainer: str, tree: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(killed, tmp_path / "damaged")
    (damaged / "results.csv").write_text("epoch,time\n")
    child = start(tmp_path / "out", tree, resume=damaged)
    assert child.end() == 1
    assert (child.problem()["slug"], child.problem()["facts"]) == ("trainer-crashed", {"files": ["results.csv"]})


def test_a_crash_is_reported_with_the_end_of_its_traceback(trainer: str, start: Start, tmp_path: Path) -> None:
    empty = tmp_path / "tree"
    empty.mkdir()
    child = start(tmp_path / "out", empty)
    assert child.end() == 1
    assert child.problem()["slug"] == "trainer-crashed"
    assert CASES[trainer].missing in child.problem()["detail"]
    assert "FileNotFoundError" in child.problem()["facts"]["traceback"][-1]


def export_version(artifacts: Path, out: Path, trainer: str, to: str, precision: str) -> tuple[int, str]:
    """The command of workers, without a dataset: its exit status, and what it printed."""
    spec = ExportSpec(
        out=out,
        model=artifacts,
        trainer=trainer,
        name="raccoons/v1",
        version_id="version_1",
        fingerprint=None,
        format=to,
        precision=precision,
        dataset=None,
    )
    config, log = out.with_suffix(".json"), out.with_suffix(".log")
    config.write_text(spec.model_dump_json())
    child = start_warm(trainer, ["export-version", "--config", str(config)], cwd=REPOSITORY, log=log)
    child.close()
    return child.wait(300), log.read_text()


@pytest.mark.parametrize(
    ("to", "precision"),
    [
        ("onnx", "fp32"),
        pytest.param("onnx", "fp16", marks=pytest.mark.slow),
        pytest.param("openvino", "fp32", marks=pytest.mark.slow),
        pytest.param("openvino", "fp16", marks=pytest.mark.slow),
        pytest.param("torchscript", "fp32", marks=pytest.mark.slow),
    ],
)
def test_an_export_answers_as_the_trained_model_does(
    finished: Child, trainer: str, to: str, precision: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, printed = export_version(finished.out / "artifacts", out, trainer, to, precision)
    assert status == 0, printed[-3000:]
    result = read_result_of(out, Exported)
    certificate = json.loads((out / "certificate.json").read_text())
    assert result is not None and result.passed == certificate["passed"] is True, certificate["reasons"]
    assert [each.name for each in (out / "export").iterdir()] == [result.file_name]
    assert certificate["outputs"]["largest"] < (1e-4 if precision == "fp32" else 0.05)
    assert certificate["thresholds"] == finished.artifact("metrics.json")["thresholds"]["classes"]
    assert certificate["figures"] is None and certificate["split"] == "synthetic"
    assert {"torch", "onnx"} <= certificate["versions"].keys()
    reported = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    assert [each["stage"] for each in reported if each["type"] == "stage"] == ["exporting", "loading", "certifying"]
    assert any(each["type"] == "progress" and each["done"] == each["total"] for each in reported)


def test_an_export_that_cannot_be_made_leaves_its_reason(finished: Child, trainer: str, tmp_path: Path) -> None:
    status, _ = export_version(finished.out / "artifacts", tmp_path / "out", trainer, "onnx", "int8")
    problem = read_problem(tmp_path / "out")
    assert status == 1 and problem is not None
    assert problem.slug == "export-unsupported" and "training images" in problem.detail
