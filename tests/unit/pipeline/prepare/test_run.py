"""`python -m pipeline prepare` as the worker runs it: a spec, a line, a tree, and result.json last."""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import NoSpace
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.child import EXIT_FULL
from pipeline.process.progress import StageReporter
from pipeline.process.specs import PrepareSpec
from tests import REPOSITORY
from tests.builders.voc import voc_zip
from worker.supervision.exit_causes import cause_of
from worker.supervision.launcher import ProcessExit


def _start(tmp_path: Path, archive: Path, **spec: Any) -> subprocess.Popen[str]:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    config = tmp_path / "spec.json"
    content = {
        "archive": str(archive),
        "out": str(out),
        "job_id": "job_1",
        "source": None,
        "options": PrepareOptions().model_dump(),
        "processes": 1,
    }
    config.write_text(json.dumps(content | spec))
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "prepare", "--config", str(config), "--supervised"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=out,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        start_new_session=True,
        text=True,
    )


def test_a_supervised_child_writes_what_the_worker_publishes(tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "data.zip")
    options = PrepareOptions(val_fraction=0.25, test_fraction=0.25).model_dump()
    source = {"name": "my balls.zip", "bytes": archive.stat().st_size, "sha256": "0" * 64}
    with _start(tmp_path, archive, source=source, options=options) as child:
        assert child.stdin
        assert child.stdout
        code = child.wait(60)
        printed = child.stdout.read()
    assert (code, printed) == (0, "")
    out = tmp_path / "out"
    result = json.loads((out / "result.json").read_text())
    metadata = json.loads((out / "dataset_metadata.json").read_text())
    assert result["outcome"] == "ready"
    assert result["classes"] == ["ball", "cube"]
    assert result["tar_bytes"] == (out / "dataset.tar").stat().st_size
    assert result["metadata"]["sha256"] == hashlib.sha256((out / "dataset_metadata.json").read_bytes()).hexdigest()
    assert metadata["source"] == source and metadata["job_id"] == "job_1"
    assert metadata["images"]["total"] == 12
    assert {split: metadata["images"][split] for split in ("train", "val", "test")} == {"train": 6, "val": 3, "test": 3}
    assert metadata["per_class"]["ball"]["boxes"]["total"] == 12
    stages = [entry["stage"] for entry in _progress(out) if entry["type"] == "stage"]
    assert stages == ["extracting", "reading", "checking", "splitting", "fingerprinting", "drawing", "writing"]
    _assert_tar_is_the_tree(out)


def _progress(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]


def _assert_tar_is_the_tree(out: Path) -> None:
    tree = {
        path.relative_to(out / "tree").as_posix(): path.read_bytes()
        for path in (out / "tree").rglob("*")
        if path.is_file()
    }
    with tarfile.open(out / "dataset.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(tree)
        for member in members:
            content = tar.extractfile(member)
            assert content and content.read() == tree[member.name]
    images = {name.removeprefix("images/")[:-4] for name in tree if name.startswith("images/")}
    labels = {name.removeprefix("labels/")[:-4] for name in tree if name.startswith("labels/")}
    assert images == labels and len(images) == 12
    assert {"data.yaml", "manifest.json"} <= set(tree)


def test_a_cancelled_child_ends_with_its_own_status(tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "data.zip")
    with _start(tmp_path, archive) as child:
        assert child.stdin
        child.stdin.write("cancel\n")
        child.stdin.flush()
        assert child.wait(30) == 76
    assert not (tmp_path / "out" / "result.json").exists()
    assert not (tmp_path / "out" / "extracted").exists()


def test_a_child_whose_supervisor_is_gone_ends_with_its_whole_group(tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "data.zip", images=200)
    with _start(tmp_path, archive) as child:
        assert child.stdin
        child.stdin.close()
        assert child.wait(30) == -9


def test_the_space_of_converted_images_is_required_before_the_set_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = voc_zip(tmp_path / "data.zip", broken="image_cmyk"), tmp_path / "out"
    out.mkdir()
    required: list[int] = []
    monkeypatch.setattr("pipeline.prepare.run.require_space", lambda _folder, needed: required.append(needed))
    prepare(PrepareSpec(archive=archive, out=out, options=PrepareOptions(), processes=1, tree=False), StageReporter())
    with tarfile.open(out / "dataset.tar") as tar:
        assert [name for name in tar.getnames() if name.endswith(".png")]
    assert required and required[0] >= (out / "dataset.tar").stat().st_size


def test_a_failure_of_ours_is_a_problem_and_no_rejection(tmp_path: Path) -> None:
    with _start(tmp_path, tmp_path / "missing.zip") as child:
        assert child.wait(30) == 1
    problem = json.loads((tmp_path / "out" / "problem.json").read_text())
    assert problem["slug"] == "preparation-failed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_even_where_the_reason_cannot_be_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("progress.jsonl", ".result.json.part", ".problem.json.part"):
        (out / name).symlink_to("/dev/full")
    with _start(tmp_path, voc_zip(tmp_path / "data.zip")) as child:
        status = child.wait(30)
    cause = cause_of(ProcessExit(status, out_of_memory=False), out, tmp_path / "log")
    assert status == EXIT_FULL and isinstance(cause, NoSpace)
