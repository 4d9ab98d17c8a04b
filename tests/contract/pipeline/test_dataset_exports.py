"""The contract of every format of dataset exports: what is written is read as the same dataset, or the loss is named.

A new format adds parameters by its entry in the catalogue, and a line to LOST where a sample loses something in it.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.__main__ import run
from pipeline.archive.extract import is_image
from pipeline.dataset_export import huggingface
from pipeline.params.dataset_exports import EXPORT_FORMATS, formats_of
from tests.builders.class_folders import folder_files
from tests.builders.listed import class_table_files
from tests.builders.odd_images import photo, saved
from tests.builders.voc import Files, annotation, voc_files, zip_files
from tests.builders.yolo_coco import coco_files, yolo_files


def odd_boxes() -> Files:
    """Unicode, dots, the stem of another image, folders named as those of formats, EXIF, edges between pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    names = (
        "Straße 1.JPG",
        "a.b.c.png",
        "sub/images/x.png",
        "sub/labels/y.png",
        "sub/x.png",
        "日本/猫.webp",
        "same.png",
    )
    files: Files = {}
    for number, name in enumerate(names):
        extra = {"exif": exif.tobytes()} if number == 0 else {}
        image = photo(seed=number)
        files[f"set/img/{name}"] = saved(image, {"p": "WEBP", "g": "PNG", "G": "JPEG"}[name[-1]], **extra)
        boxes = [("&lt;&amp;\"' é", 1.25, 2, 30.337, 40.001), ("two  words", 3, 4, 50.5, 60)][: number % 3]
        size = (64, 96) if number == 0 else (96, 64)
        files[f"set/xml/{name}.xml"] = annotation(name.rpartition("/")[2], boxes, size=size)
    return files


def same_stems() -> Files:
    files = {name.replace("p00.jpg", "p01.png"): content for name, content in voc_files(images=8).items()}
    files["annotations/p01.png.xml"] = files.pop("annotations/p00.xml").replace(b"p00.jpg", b"p01.png")
    files["annotations/p01.jpg.xml"] = files.pop("annotations/p01.xml")
    return files


def difficult_boxes() -> Files:
    files = voc_files(images=8)
    files["annotations/p03.xml"] = files["annotations/p03.xml"].replace(b"<difficult>0", b"<difficult>1", 1)
    return files


def own_order() -> Files:
    return {**folder_files(each=6), "class_order.txt": b"disc\ncross\nbox\n"}


SAMPLES: dict[str, tuple[str, Callable[[], Files]]] = {
    "voc": ("detection", lambda: voc_files(images=12)),
    "yolo": ("detection", lambda: yolo_files(images=12)),
    "coco": ("detection", lambda: coco_files(images=12)),
    "odd": ("detection", odd_boxes),
    "same-stems": ("detection", same_stems),
    "difficult": ("detection", difficult_boxes),
    "folders": ("classification", lambda: folder_files(each=6)),
    "split-folders": ("classification", lambda: folder_files(each=4, splits=("train/", "val/", "test/"))),
    "class-order": ("classification", own_order),
    "table": ("classification", lambda: class_table_files({f"{n % 2}/{n}.jpg": "ab"[n // 2 % 2] for n in range(8)})),
}
# (sample, format) -> the loss for which the content fingerprint is another one.
LOST = {
    ("same-stems", "yolo"): "paths-changed",
    ("difficult", "coco"): "difficult",
    ("difficult", "yolo"): "difficult",
    ("table", "folders"): "paths-changed",
}
PAIRS = [(sample, name) for sample, (kind, _) in SAMPLES.items() for name in formats_of(kind)]


@pytest.mark.parametrize(("sample", "name"), PAIRS)
def test_what_is_written_is_the_same_dataset_again_or_the_loss_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sample: str, name: str
) -> None:
    archive = zip_files(tmp_path / "data.zip", SAMPLES[sample][1]())
    target = tmp_path / "export.zip"
    said = _exported(capsys, archive, target, name)
    before, after = (_fingerprint(capsys, path) for path in (archive, target))
    lost = LOST.get((sample, name))
    assert (after == before) == (lost is None), f"with the splits and the order of the classes; {said}"
    assert (lost is None) == (said.count("\n") == 1), said
    with zipfile.ZipFile(target) as written:
        assert written.testzip() is None
        readme = written.read("README.md").decode()
        assert before["content_fingerprint"] in readme
        assert f"`{lost}` (1)" in readme or f"`{lost}` (8)" in readme if lost else "Nothing." in readme
        if name != "hf":  # which has them in tables
            assert _digests(written) == _digests(zipfile.ZipFile(archive)), "the bytes of the images"


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_the_same_export_has_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    files = voc_files(images=6) if name in formats_of("detection") else folder_files(each=4)
    archive = zip_files(tmp_path / "data.zip", files)
    other = zip_files(tmp_path / "other.zip", dict(reversed(files.items())), compression=zipfile.ZIP_STORED)
    written = []
    for source in (archive, other):
        _exported(capsys, source, tmp_path / "export.zip", name)
        written.append((tmp_path / "export.zip").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("sample", ["voc", "difficult", "odd", "folders", "class-order", "table"])
def test_parquet_files_have_the_whole_content_of_the_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sample: str
) -> None:
    """The content fingerprint follows from them alone, as docs/fingerprint.md defines it; `datasets` reads them."""
    monkeypatch.setattr(huggingface, "SHARD_BYTES", 1)  # a file for each image
    kind, files = SAMPLES[sample]
    archive, target = zip_files(tmp_path / "data.zip", files()), tmp_path / "export.zip"
    _exported(capsys, archive, target, "hf")
    with zipfile.ZipFile(target) as written:
        written.extractall(tmp_path / "hub")
    images, classes = [], []
    files_of_data = sorted((tmp_path / "hub" / "data").iterdir())
    assert sum(path.name.startswith("train-") for path in files_of_data) > 1
    for path in files_of_data:
        table = pq.read_table(path)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        classes = (features["objects"]["category"]["feature"] if kind == "detection" else features["label"])["names"]
        images += [_manifest_entry(row) for row in table.to_pylist()]
    manifest = {"schema": "darkroom-manifest/1", "kind": kind, "classes": classes}
    manifest["images"] = sorted(images, key=lambda image: str(image["path"]))
    canonical = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(canonical).hexdigest() == _fingerprint(capsys, archive)["content_fingerprint"]

    import datasets

    found = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))
    assert {"train", "validation"} <= set(found)
    first = found["train"][0]
    assert first["image"].size[0] > 0 and first["path"]
    feature = found["train"].features["objects"]["category"].feature if kind == "detection" else None
    assert (feature or found["train"].features["label"]).names == classes


def _manifest_entry(row: dict[str, Any]) -> dict[str, Any]:
    assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["sha256"]
    entry: dict[str, Any] = {"path": row["path"], "sha256": row["sha256"]}
    if "label" in row:
        return entry | {"label": row["label"]}
    objects = row["objects"]
    boxes = [
        [category, *(round(1000 * edge) for edge in (x, y, x + wide, y + high)), int(difficult)]
        for (x, y, wide, high), category, difficult in zip(
            objects["bbox"], objects["category"], objects["difficult"], strict=True
        )
    ]
    return entry | {"boxes": boxes}


@pytest.mark.parametrize(("name", "files"), [("yolo", voc_files(images=12)), ("folders", folder_files(each=6))])
def test_splits_can_be_folders_and_then_the_paths_are_a_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, files: Files
) -> None:
    archive, target = zip_files(tmp_path / "data.zip", files), tmp_path / "export.zip"
    said = _exported(capsys, archive, target, name, "--arrange", "splits")
    assert "paths-changed" in said
    with zipfile.ZipFile(target) as written:
        images = [entry for entry in written.namelist() if is_image(entry)]
    folder = "images/" if name == "yolo" else ""
    assert {image.removeprefix(folder).partition("/")[0] for image in images} == {"train", "val", "test"}
    again = tmp_path / "again.zip"
    assert _exported(capsys, target, again, name, "--arrange", "splits").count("\n") == 1, "they are folders by now"
    assert _fingerprint(capsys, again) == _fingerprint(capsys, target)


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_images_that_are_trained_on_in_a_folder_named_test_are_said_to_need_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    archive = zip_files(tmp_path / "data.zip", yolo_files(images=16))
    target = tmp_path / "export.zip"
    said = _exported(capsys, archive, target, name, "--split", "remake", "--seed", "3")
    assert "splits-contradict-folders" in said
    assert run(["fingerprint", str(target)]) == 1, "rejected, as the loss says"
    before = _fingerprint(capsys, archive, "--split", "remake", "--seed", "3")
    assert _fingerprint(capsys, target, "--split", "remake", "--seed", "3") == before


def test_a_format_of_the_other_kind_names_those_that_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = zip_files(tmp_path / "data.zip", folder_files(each=4))
    assert run(["export-dataset", str(archive), str(tmp_path / "export.zip"), "--format", "coco"]) == 1
    assert "its formats are folders, hf" in capsys.readouterr().err
    assert not (tmp_path / "export.zip").exists()


def _exported(capsys: pytest.CaptureFixture[str], archive: Path, target: Path, name: str, *options: str) -> str:
    """What is said: a line, and one for each loss."""
    capsys.readouterr()
    assert run(["export-dataset", str(archive), str(target), "--format", name, *options]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def _fingerprint(capsys: pytest.CaptureFixture[str], archive: Path, *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["fingerprint", str(archive), *options]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _digests(archive: zipfile.ZipFile) -> list[str]:
    names: Iterable[str] = filter(is_image, archive.namelist())
    return sorted(hashlib.sha256(io.BytesIO(archive.read(name)).getvalue()).hexdigest() for name in names)
