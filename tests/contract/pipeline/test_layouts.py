"""Every layout against one contract. A new one adds a line to SAMPLES."""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.validated import ValidatedDataset
from pipeline.layouts import LAYOUTS, TAR_FILE, layout_of
from pipeline.layouts.tarball import Place
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.child import RunCancelled
from pipeline.process.progress import StageReporter
from tests.builders.class_folders import folder_files
from tests.builders.training import REPOSITORY
from tests.builders.voc import Files, voc_files, zip_files

SAMPLES: dict[str, Files] = {"detection": voc_files(images=6), "classification": folder_files(each=4)}


class Cancelled(StageReporter):
    """A run that is cancelled while its set is written."""

    def tick(self, done: int, total: int) -> None:  # noqa: ARG002 - the signature of StageReporter
        raise RunCancelled


@pytest.fixture(params=LAYOUTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def validated(tmp_path: Path, kind: str) -> ValidatedDataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", SAMPLES[kind])
    return validate_archive(archive, into, PrepareOptions(), processes=1, steps=StageReporter())


def test_the_catalogue_and_the_samples_agree() -> None:
    assert list(SAMPLES) == list(LAYOUTS)


def test_a_set_is_a_tar_with_the_manifest_of_its_fingerprint(tmp_path: Path, kind: str) -> None:
    dataset = validated(tmp_path, kind)
    out = tmp_path / "out"
    out.mkdir()
    places: dict[str, Place] = {}
    tar_bytes = layout_of(kind).write_set(dataset, out, StageReporter(), places.update)
    content = (out / "dataset.tar").read_bytes()
    assert tar_bytes == len(content)
    assert {path: content[at : at + size] for path, (_, at, size, _) in places.items()} == {
        image.path: image.written.read() for image in dataset.images
    }
    with tarfile.open(out / "dataset.tar") as tar:
        members = tar.getmembers()
        manifest = _read(tar, "manifest.json")
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.mode, m.uid, m.uname) for m in members} == {(0, 0o644, 0, "")}
    assert hashlib.sha256(manifest).hexdigest() == dataset.digests.fingerprint
    layout = LAYOUTS[kind]
    stored: dict[str, Any] = json.loads(manifest)
    assert (stored["kind"], stored["layout"]) == (kind, {"name": layout.name, "version": layout.version})
    assert {path.name for path in out.iterdir()} <= {"tree", "dataset.tar"}, "nothing else is left behind"


def test_the_same_dataset_is_the_same_tar(tmp_path: Path, kind: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        layout_of(kind).write_set(validated(tmp_path, kind), tmp_path / name, StageReporter(), lambda _: None)
    assert (tmp_path / "one" / TAR_FILE).read_bytes() == (tmp_path / "two" / TAR_FILE).read_bytes()


def test_writing_can_be_cancelled(tmp_path: Path, kind: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(RunCancelled):
        layout_of(kind).write_set(validated(tmp_path, kind), tmp_path / "out", Cancelled(), lambda _: None)


def test_what_one_kind_needs_is_not_loaded_for_the_others() -> None:
    names = ", ".join(layout.module for layout in LAYOUTS.values())
    code = f"import sys, pipeline.prepare.run, {names}; print({{'datasets', 'pyarrow', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
