"""Configs of the command line: what a person writes is checked by the API's schemas, and what is wrong has a place."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.cli.config_files import ConfigInvalid, checked, load_file
from pipeline.cli.evaluate import EvaluateConfig
from pipeline.cli.export import ExportConfig
from pipeline.cli.predict import PredictConfig
from pipeline.cli.prepare import PrepareConfig
from pipeline.cli.train import TrainConfig
from pipeline.params.catalogue import params_of
from pipeline.trainers.scratch import scratch_in
from tests import REPOSITORY

SCHEMAS: dict[str, type[BaseModel]] = {
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "export": ExportConfig,
}
EXAMPLES = sorted((REPOSITORY / "docs" / "examples").glob("*/*.*"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_fits_its_schema(example: Path) -> None:
    config = checked(SCHEMAS[example.stem.partition("-")[2]], load_file(example))
    if isinstance(config, TrainConfig):
        assert config.trainer
        checked(params_of(config.trainer), config.params, place="params")


@pytest.mark.parametrize(
    ("command", "config", "message"),
    [
        ("train", "params: {epochs: 0}", "params.epochs: must be at least 1"),
        ("train", "params: {epochs: many}", "params.epochs: must be a whole number"),
        ("train", "params: {epoch: 3}", "params.epoch: there is no such field; did you mean epochs?"),
        ("train", "params: {scheduler: none}", "params.scheduler: must be 'linear', 'cosine' or 'constant'"),
        ("train", "params: {image_size: 100}", "params.image_size: must be a multiple of 16"),
        ("train", "params: 3", "params: must be fields with values"),
        ("train", "traner: vit", "traner: there is no such field; did you mean trainer?"),
        ("train", "run_id: run_1", "run_id: there is no such field; the fields are "),  # a worker's, not a person's
        ("train", "trainer: vgg", "trainer: must be one of yolo, vit"),
        ("train", "trainer: yolo", "trainer: yolo trains on detection, and the dataset is classification"),
        ("train", "params: {model: raccoons/v3}", "params.model: only the service knows its versions"),
        ("train", "weights: nowhere", "weights: there is no nowhere"),
        ("train", "dataset: nowhere", "dataset: nowhere is not a prepared tree"),
        ("train", "out:", "out: must be a path"),
        ("train", "params: [", "line 5: "),
        ("train", "- out", "line "),
        ("evaluate", "model: nowhere", "model: there is no nowhere"),
        ("evaluate", "model: nowhere.onnx", "model: there is no nowhere.onnx"),
        ("evaluate", "split: all", "split: must be 'test', 'val' or 'train'"),
        ("prepare", "options: {val_fraction: 2}", "options.val_fraction: must be below 1"),
        ("prepare", "options: {val_fraction: 0}", "options: val_fraction must be above 0"),
        ("prepare", "archive: nowhere.zip", "archive: there is no nowhere.zip"),
        ("prepare", "out: tree", "out: tree exists and is not an empty folder"),
        ("predict", "conf: 2", "conf: must be at most 1"),
    ],
)
def test_an_error_is_printed_with_its_place_and_nothing_is_started(
    command: str,
    config: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.__main__ import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "manifest.json").write_text('{"kind": "classification"}')
    (tmp_path / "data.zip").touch()
    usual = {
        "prepare": {"archive": "data.zip", "out": "out"},
        "train": {"dataset": "tree", "out": "out", "trainer": "vit"},
        "evaluate": {"model": "best.pt", "dataset": "tree", "out": "out"},
        "predict": {"model": "best.pt", "image": "a.png", "out": "b.png"},
    }[command]
    lines = [f"{name}: {value}" for name, value in usual.items() if not config.startswith(f"{name}:")]
    (tmp_path / "config.yaml").write_text("\n".join([*lines, config, ""]))
    assert run([command, "--config", "config.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"out: x\nsplit: \x01", "line 2: special characters are not allowed"),
        ("a.yaml", b"out: x\nsplit: \xff", "line 2: is not UTF-8"),
        ("a.json", b'{"out": "\xff"}', "line 1: is not UTF-8"),
        ("a.yaml", b"out: " + b"[" * 5000, "line 1: is nested too deeply"),
        ("a.json", b"[" * 200_000, "line 1: is nested too deeply"),
        ("a.yaml", b"out: 2026-99-99", "config: month must be in 1..12"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigInvalid) as caught:
        load_file(tmp_path / name)
    assert caught.value.problems == (message,)


@pytest.mark.parametrize(
    ("config", "out", "message"),
    [
        ("options: [1]", "out", "options: must be fields with values"),
        ("options: null", "mine", "out: mine exists and is not an empty folder"),
    ],
)
def test_a_preparation_that_would_go_wrong_is_not_begun(
    config: str,
    out: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.__main__ import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "extracted").mkdir(parents=True)
    (tmp_path / "data.zip").touch()
    (tmp_path / "config.yaml").write_text(f"archive: data.zip\nout: {out}\n{config}\n")
    assert run(["prepare", "--config", "config.yaml", "--seed", "3"]) == 2
    assert message in capsys.readouterr().err


def test_a_trainers_scratch_leaves_alone_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with scratch_in(tmp_path) as work:
        (work / "last.pt").touch()
        assert work.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        checked(EvaluateConfig, {"split": "all", "batch": 0, "modle": "x"})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        *("model", "dataset", "out", "split", "batch", "modle")
    ]


@pytest.mark.parametrize("command", SCHEMAS)
def test_help_lists_every_field_and_loads_nothing_heavy(command: str) -> None:
    code = f"""
import sys
from pipeline.__main__ import run
try:
    run([{command!r}, "--help"])
except SystemExit:
    print([name for name in ("torch", "transformers", "ultralytics", "datasets", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name, field in SCHEMAS[command].model_fields.items():
        assert f"\n  {field.alias or name}" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    if command == "train":
        assert all(f"\n  {name}" in done.stdout for name in params_of("vit").model_fields)


def test_an_argument_wins_over_the_file(tmp_path: Path) -> None:
    import argparse

    from pipeline.cli.config_files import add_config, read_config

    parser = argparse.ArgumentParser()
    add_config(parser, EvaluateConfig)
    (tmp_path / "test.json").write_text('{"model": "a.pt", "dataset": "tree", "out": "out", "split": "val"}')
    args = parser.parse_args(["--config", str(tmp_path / "test.json"), "--split", "train", "--batch", "8"])
    config = read_config(args, EvaluateConfig)
    assert (config.model, config.split, config.batch) == (Path("a.pt"), "train", 8)
