"""The fingerprint: equal for the same data however it is packed, different for any change of it."""

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.__main__ import run
from pipeline.dataset.validated import Digests, ValidatedDataset
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.voc import IMAGE, JUNK, XML, Files, image_bytes, voc_files, voc_zip, zip_files

FILES = voc_files(images=4)


def _validated(tmp_path: Path, files: Files, **how: Any) -> ValidatedDataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files, **how)
    return validate_archive(archive, into, PrepareOptions(), processes=1, steps=StageReporter())


def _digests(tmp_path: Path, files: Files, **how: Any) -> Digests:
    return _validated(tmp_path, files, **how).digests


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    return _digests(tmp_path_factory.mktemp("original"), FILES)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(sorted(FILES)),
    wrap=st.sampled_from(["", "wrapped/", "a b/\u00fc/"]),
    junk=st.booleans(),
    compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_packing_does_not_matter(
    tmp_path: Path, original: Digests, order: list[str], wrap: str, junk: bool, compression: int
) -> None:
    files = {f"{wrap}{name}": FILES[name] for name in order}
    if junk:
        files |= {f"{wrap}{name}": content for name, content in JUNK.items()} | {"__MACOSX/._x.jpg": b"junk"}
    assert _digests(tmp_path, files, compression=compression) == original


def test_the_folder_of_the_annotations_and_the_xmls_other_words_do_not_matter(
    tmp_path: Path, original: Digests
) -> None:
    files = {name.replace("annotations/", "some/annots/"): content for name, content in FILES.items()}
    assert _digests(tmp_path, files) == original
    files = {name: content.replace(b"<annotation>", b"<annotation> <!-- hi -->") for name, content in FILES.items()}
    assert _digests(tmp_path, files) == original


CHANGES: dict[str, Files] = {
    "other pixels": {IMAGE: image_bytes(seed=77)},
    "one box by one pixel": {
        XML: re.sub(rb"<xmax>(\d+)", lambda m: b"<xmax>%d" % (int(m[1]) - 1), FILES[XML], count=1)
    },
    "a box by a tenth of a pixel": {XML: FILES[XML].replace(b"</xmin>", b".1</xmin>", 1)},
    "difficult": {XML: FILES[XML].replace(b"<difficult>0", b"<difficult>1", 1)},
    "a class name": {name: content.replace(b"ball", b"globe") for name, content in FILES.items() if "xml" in name},
    "swapped class names": {
        name: content.replace(b"ball", b"x").replace(b"cube", b"ball").replace(b"<name>x<", b"<name>cube<")
        for name, content in FILES.items()
        if "xml" in name
    },
    "one image more": {"images/more.jpg": image_bytes(seed=78)},
    "an image's name": {"images/renamed.jpg": image_bytes(seed=79)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_data_changes_both_digests(tmp_path: Path, original: Digests, change: str) -> None:
    changed = _digests(tmp_path, FILES | CHANGES[change])
    assert changed.fingerprint != original.fingerprint
    assert changed.content_fingerprint != original.content_fingerprint


def test_another_split_changes_the_fingerprint_and_not_that_of_the_content(tmp_path: Path, original: Digests) -> None:
    into = tmp_path / "into"
    into.mkdir()
    archive = zip_files(tmp_path / "data.zip", FILES)
    other = validate_archive(archive, into, PrepareOptions(seed=5), processes=1, steps=StageReporter()).digests
    assert other.content_fingerprint == original.content_fingerprint
    assert other.fingerprint != original.fingerprint


def test_anyone_can_recompute_both_digests_from_the_prepared_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = voc_zip(tmp_path / "data.zip", images=4)
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1"]) == 0
    capsys.readouterr()
    assert run(["fingerprint", str(archive), "--processes", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    content = (tmp_path / "out" / "tree" / "manifest.json").read_bytes()
    assert printed["fingerprint"] == hashlib.sha256(content).hexdigest()
    manifest = json.loads(content)
    del manifest["layout"], manifest["reading"], manifest["split_rule"]
    for image in manifest["images"]:
        del image["split"]
    plain = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert printed["content_fingerprint"] == hashlib.sha256(plain).hexdigest()


def test_the_tar_of_the_same_data_is_the_same_to_the_byte(tmp_path: Path) -> None:
    digests = []
    for number, wrap in enumerate(("", "wrapped/")):
        archive = zip_files(tmp_path / f"{number}.zip", {f"{wrap}{name}": FILES[name] for name in FILES})
        assert run(["prepare", str(archive), str(tmp_path / f"out{number}"), "--processes", "1"]) == 0
        digests.append(hashlib.sha256((tmp_path / f"out{number}" / "dataset.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
