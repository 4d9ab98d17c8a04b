"""The bundle of a version: its predictions are those of the service, and no byte of it changes unnoticed."""

import html
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from pipeline.bundle import predict
from pipeline.bundle.licences import base_model, licences_of
from pipeline.bundle.run import bundle as bundle_version
from pipeline.bundle.verify import verify_bundle
from pipeline.bundle.zip_layout import write_bundle
from pipeline.predictor.predictor import ExportPredictor, Prediction
from pipeline.process.child import Channel
from pipeline.process.results import Bundled, read_result_of
from tests.builders.bundled import CERTIFICATE, VERSION, bundle_spec
from tests.builders.colour_models import CLASSES, draw_scenes

KINDS = ("detection", "classification")
ALLOWED = ("numpy", "PIL", "onnxruntime", "darkroom_predictor")
# Runs predict.py where nothing but the standard library and ALLOWED can be imported.
ALONE = f"""
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {{*sys.stdlib_module_names, *{ALLOWED}}}:
            raise ModuleNotFoundError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, ".")
runpy.run_path("predict.py", run_name="__main__")
"""


def made(folder: Path, kind: str = "detection", **version: Any) -> Path:
    """The ZIP, made by the command that a worker starts."""
    spec = bundle_spec(folder, kind, **version)
    (folder / "spec.json").write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "pipeline", "bundle", "--config", str(folder / "spec.json")]
    subprocess.run(command, check=True, timeout=60)
    return spec.out / "bundle.zip"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: made(tmp_path_factory.mktemp(kind) / "bundle", kind) for kind in KINDS}


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copy(bundles["detection"], tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_the_predictor_in_it_answers_as_the_service_with_three_packages(
    kind: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    zipfile.ZipFile(bundles[kind]).extractall(tmp_path / "unpacked")
    scenes = draw_scenes(tmp_path, 9)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    names = [str(scene.file) for scene in scenes]
    service = ExportPredictor(bundles[kind].parents[1] / "exported.onnx")
    calls: list[tuple[list[str], float | None]] = [([], None), (["--confidence", "0.95"], 0.95)]
    for options, min_score in calls if kind == "detection" else calls[:1]:
        command = [sys.executable, "-c", ALONE, *names, str(broken), "--json", *options]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=tmp_path / "unpacked", env=environment, capture_output=True, text=True)
        assert done.returncode == 1 and "broken.jpg: The file is" in done.stderr, done.stderr
        wanted = service.predict([scene.file.read_bytes() for scene in scenes], min_score=min_score)
        assert [answer(json.loads(line)) for line in done.stdout.splitlines()] == [answer(each) for each in wanted]


def answer(found: dict[str, Any] | Any) -> dict[str, Any]:
    """A prediction as JSON, without its times."""
    assert isinstance(found, dict | Prediction)
    content = found if isinstance(found, dict) else json.loads(json.dumps(asdict(found)))
    return {name: value for name, value in content.items() if name not in ("milliseconds", "image")}


def test_the_script_draws_what_it_finds(
    bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, drawn = draw_scenes(tmp_path, 1)[0].file, tmp_path / "drawn.png"
    model = bundles["detection"].parents[1] / "exported.onnx"
    assert predict.main([str(scene), "--model", str(model), "--out", str(drawn)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] in CLASSES
    with Image.open(drawn) as image:
        assert image.getcolors(100_000) and len(image.getcolors(100_000) or []) > 4
    assert predict.main([str(scene), str(scene), "--out", str(drawn)]) == 2
    for confidence in ("50", "nan"):
        with pytest.raises(SystemExit, match="2"):
            predict.main([str(scene), "--model", str(model), "--confidence", confidence])
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[:2000])
    assert predict.main([str(scene), "--model", str(damaged)]) == 1
    assert "damaged.onnx: The engine cannot run the export" in capsys.readouterr().err


def test_the_script_says_of_which_answers_the_model_is_unsure(
    bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes, model = draw_scenes(tmp_path, 9), bundles["classification"].parents[1] / "exported.onnx"
    found = ExportPredictor(model).predict([scene.file.read_bytes() for scene in scenes])
    answers = [each.labels[0] for each in found if isinstance(each, Prediction)]
    assert {one.is_sure for one in answers} == {True, False}
    assert predict.main([*(str(scene.file) for scene in scenes), "--model", str(model)]) == 0
    first = capsys.readouterr().out.splitlines()[1::4]
    assert [("unsure" in line) for line in first] == [not one.is_sure for one in answers]


def test_the_same_version_makes_the_same_bytes(bundles: dict[str, Path], tmp_path: Path) -> None:
    again = made(tmp_path / "again")
    assert again.read_bytes() == bundles["detection"].read_bytes()
    listed = read_result_of(again.parent, Bundled)
    assert listed is not None
    with zipfile.ZipFile(again) as archive:
        assert archive.testzip() is None
        assert [each.name for each in listed.contents] == archive.namelist()
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_changed_byte_is_found_wherever_it_is_and_its_file_is_named(bundle: Path) -> None:
    assert verify_bundle(bundle).faults == ()
    content = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        entries = archive.infolist()
    inside: dict[int, str] = {}
    for entry in entries:
        start = entry.header_offset + 30 + len(entry.filename)
        inside |= {start: entry.filename, start + entry.file_size // 2: entry.filename}
    assert set(inside.values()) == {entry.filename for entry in entries}
    directory_at = entries[-1].header_offset + 30 + len(entries[-1].filename) + entries[-1].file_size
    header = range(entries[3].header_offset, entries[3].header_offset + 30 + len(entries[3].filename))
    for at in (*inside, *header, *range(directory_at, directory_at + 150), *range(len(content) - 22, len(content))):
        changed = bytearray(content)
        changed[at] ^= 0x41
        bundle.write_bytes(changed)
        faults = verify_bundle(bundle).faults
        assert faults, f"byte {at}"
        if at in inside:
            assert [fault.name for fault in faults] == [inside[at]]


def repacked(source: Path, change: Callable[[dict[str, Path]], None], folder: Path) -> None:
    """Writes `source` again in its own layout, with other files."""
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
        files = {name: folder / name for name in archive.namelist()}
    change(files)
    write_bundle(source, list(files.items()))


def exchange(files: dict[str, Path]) -> None:
    names = list(files)
    files |= {name: files.pop(name) for name in [names[1], names[0], *names[2:]]}


def edit(files: dict[str, Path]) -> None:
    files["metrics.json"].write_text("{}")


def edit_with_manifest(files: dict[str, Path]) -> None:
    edit(files)
    manifest = files["manifest.json"]
    content = json.loads(manifest.read_text())
    sums = {"bytes": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    manifest.write_text(
        json.dumps(
            content | {"files": [each | sums if each["name"] == "metrics.json" else each for each in content["files"]]}
        )
    )


@pytest.mark.parametrize(
    ("change", "name", "detail"),
    [
        (lambda files: files.pop("certificate.json"), "certificate.json", "missing"),
        (lambda files: files.update({"zz.txt": files["README.md"]}), "zz.txt", "added"),
        (lambda files: files.pop("manifest.json"), "manifest.json", "missing"),
        (lambda files: files["manifest.json"].write_text('{"schema": 1, "files": 3}'), "manifest.json", "cannot be"),
        (lambda files: files["manifest.json"].write_text("[" * 100_000), "manifest.json", "cannot be read"),
        (exchange, "README.md", "in the place of"),
        (edit, "metrics.json", "sha256"),
    ],
)  # fmt: skip
def test_other_files_are_found(change: Any, name: str, detail: str, bundle: Path, tmp_path: Path) -> None:
    repacked(bundle, change, tmp_path / "files")
    faults = verify_bundle(bundle).faults
    assert faults[0].name == name and detail in faults[0].detail


def test_who_rewrites_the_manifest_too_is_found_by_the_digest_that_the_service_reports(
    bundle: Path, tmp_path: Path
) -> None:
    reported = verify_bundle(bundle).sha256
    assert verify_bundle(bundle, sha256=reported.upper()).faults == ()
    repacked(bundle, edit_with_manifest, tmp_path / "files")
    assert verify_bundle(bundle).faults == ()
    assert [fault.name for fault in verify_bundle(bundle, sha256=reported).faults] == [""]


def test_what_is_put_around_the_files_is_found(bundle: Path) -> None:
    content = bundle.read_bytes()
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.comment = b"hello"
    assert "directory" in str(verify_bundle(bundle).faults[0])
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", "{}" + " " * 10_000)
    assert "compressed" in str(verify_bundle(bundle).faults[0])
    for text in (b"", b"no ZIP at all", b"PK\x03\x04" + content, content + b"more", content[:-4000]):
        bundle.write_bytes(text)
        assert verify_bundle(bundle).faults


def test_the_command_says_which_file_differs(bundle: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "verify", str(bundle)]
    whole = subprocess.run(command, capture_output=True, text=True)
    assert whole.returncode == 0 and "as it was written" in whole.stdout
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b'"torch": "2.14.1"', b'"torch": "2.14.2"'))
    changed = subprocess.run(command, capture_output=True, text=True)
    assert changed.returncode == 1 and changed.stdout.startswith("model.json: ")
    assert subprocess.run([*command[:-1], "nowhere.zip"], capture_output=True).returncode == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_is_one_of_the_hub_and_shows_names_as_they_are(kind: str, bundles: dict[str, Path]) -> None:
    from huggingface_hub import ModelCard

    with zipfile.ZipFile(bundles[kind]) as archive:
        text, names = archive.read("README.md").decode(), archive.namelist()
    data = ModelCard(text).data
    assert data.pipeline_tag == {"detection": "object-detection", "classification": "image-classification"}[kind]
    assert (data.license, data.library_name) == {
        "detection": ("agpl-3.0", "ultralytics"),
        "classification": ("unknown", "transformers"),
    }[kind]
    figures = {each.metric_type: each.metric_value for each in data.eval_results}
    assert figures["f1"] == 0.71 and data.eval_results[0].dataset_name == "colours/d1"
    page = MarkdownIt("commonmark").enable("table").render(text)
    expected = "red](javascript:alert(1)) | <script>x</script> # not a title `code` $1$ \\u202edesrever"
    assert f"<td>{html.escape(expected)}</td>" in page and "col*ours*.zip" in page
    assert "<script" not in page and 'href="javascript' not in page and page.count("<h1>") == 1
    assert "100 images" in text and "(4)" in text, "the size of train, and the class with few examples"
    assert "trained on 6 images of the frozen test set (generation 2), and 6 more, in val, chose its epoch" in text
    for name in names:
        assert not name.startswith("images/") or f"]({name})" in text
    assert "images/val_curves.png" not in names, "the figures are those of test"


def test_what_is_not_known_of_an_imported_version_is_said(tmp_path: Path) -> None:
    unknown = {name: None for name in ("fingerprint", "dataset", "evaluated_on")}
    given = bundle_spec(tmp_path, "classification", origin="imported", trainer="onnx", params={}, notes={}, **unknown)
    (given.artifacts / "best.pt").rename(given.artifacts / "model.onnx")
    (given.artifacts / "model.json").write_text('{"weights": {"name": "model.onnx"}}')
    (given.artifacts / "metrics.json").unlink()
    without_figures = CERTIFICATE | {"figures": None, "split": "synthetic"}
    made_of = given.model_copy(update={"metadata": None, "certificate": without_figures})
    given.out.mkdir()
    with closing(Channel(given.out)) as channel:
        bundle_version(made_of, channel)
    assert verify_bundle(given.out / "bundle.zip").faults == ()
    with zipfile.ZipFile(given.out / "bundle.zip") as archive:
        text, names = archive.read("README.md").decode(), archive.namelist()
        assert json.loads(archive.read("fingerprint.json"))["fingerprint"] is None
    for sentence in (
        "license: unknown",
        "It was trained elsewhere: on what is not known",
        "beside the model that it was made of, on 24 images made on the spot",
        "The model was not evaluated",
        "its licence was not stated",
        "| Dataset | not known |",
        "The dataset: **unknown**. It was trained elsewhere",
    ):
        assert sentence in text
    assert {"model.onnx", "weights/model.onnx"} <= set(names) and "sha256 of weights/model.onnx" in text
    assert not {"metrics.json", "dataset_metadata.json"} & set(names) and "model-index" not in text


@pytest.mark.parametrize(
    ("params", "notes", "licence", "base"),
    [
        (
            {"model": "google/vit-base-patch16-224"},
            "started from the pretrained weights google/vit",
            "apache-2.0",
            True,
        ),
        ({"model": "openai/clip-vit-base-patch32", "mode": "zero-shot"}, "", "mit", True),
        ({"model": "somebody/else"}, "started from the pretrained weights somebody/else at 12ab", "unknown", True),
        ({"model": "google/vit-base-patch16-224"}, "trained from scratch: no pretrained weights", "unknown", False),
    ],
)
def test_the_licence_is_that_of_the_weights_that_it_started_from(
    params: dict[str, str], notes: str, licence: str, base: bool
) -> None:
    version = VERSION | {"trainer": "vit", "params": params, "notes": {"weights": notes} if notes else {}}
    assert licences_of(version, parent=None, images=False)[0].id == licence
    assert (base_model(version) == params["model"]) is base
    assert licences_of(version | {"parent": {"name": "a/v1"}}, parent="a/v1", images=False)[0].id == "unknown"
