"""What `weights` of a TrainConfig may be: artifacts of a training are gone on from, anything else is weights alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.config_files import ConfigInvalid
from pipeline.cli.train import start_from
from pipeline.process.specs import ModelSpec, ParentSpec

MODEL: dict[str, Any] = {"trainer": "yolo", "run_id": "run_1", "weights": {"name": "best.pt", "sha256": "a" * 64}}


def artifacts(folder: Path, **changes: Any) -> Path:
    (folder / "model.json").write_text(json.dumps({**MODEL, **changes}))
    return folder


@pytest.mark.parametrize(("run_id", "name"), [("run_1", "run_1"), (None, "yolo aaaaaaaaaaaa")])
def test_artifacts_of_a_training_are_a_parent(tmp_path: Path, run_id: str | None, name: str) -> None:
    spec = start_from(artifacts(tmp_path, run_id=run_id), "yolo")
    assert (spec.path_or_name, spec.parent) == (str(tmp_path / "best.pt"), ParentSpec(name=name, sha256="a" * 64))


def test_other_weights_are_no_parent(tmp_path: Path) -> None:
    assert start_from(tmp_path, "vit") == ModelSpec(kind="weights", path_or_name=str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"trainer": "vit"}, "is a model of vit; it cannot be trained by yolo"), ({"weights": 3}, "cannot be read")],
)
def test_artifacts_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        start_from(artifacts(tmp_path, **changes), "yolo")
