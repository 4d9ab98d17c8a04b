"""Folders of classes through the whole of prepare: labels, findings, split, fingerprint, and the tree that is read."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from pipeline.archive.source import Rejected
from pipeline.dataset.validated import ValidatedDataset
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.class_folders import folder_files, shape
from tests.builders.voc import JUNK, Files, image_bytes, turned, zip_files

CLASSES = ("9", "10", "test")
FILES = folder_files(each=6, classes=CLASSES)


def validated(tmp_path: Path, files: Files, **options: Any) -> ValidatedDataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return validate_archive(archive, into, PrepareOptions(**options), processes=1, steps=StageReporter())


def codes(dataset: ValidatedDataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in dataset.findings:
        found.setdefault(finding.code, []).append(finding.path)
    return found


def labels(dataset: ValidatedDataset) -> dict[str, str]:
    return {p.path: dataset.classes[p.label] for p in dataset.images if p.label is not None}


def test_classes_are_the_folders_in_natural_order_wherever_they_lie(tmp_path: Path) -> None:
    dataset = validated(tmp_path, {f"a/b c/{name.upper()}": content for name, content in FILES.items()})
    assert (dataset.kind, dataset.format, dataset.classes) == ("classification", "folders", ["9", "10", "TEST"])
    assert labels(dataset)["10/00.PNG"] == "10" and len(labels(dataset)) == 18
    assert [finding.code for finding in dataset.findings] == ["class-named-like-part", "names-unusual"]
    by_class = {
        name: Counter(dataset.splits[p] for p, label in labels(dataset).items() if label == name)
        for name in dataset.classes
    }
    assert all(counts == {"train": 4, "val": 1, "test": 1} for counts in by_class.values()), by_class


def test_strays_are_reported_and_cost_nothing(tmp_path: Path) -> None:
    files = FILES | JUNK
    files["stray.png"] = b"not even an image"
    files["9/old/deep.png"] = shape("disc", seed="deep")
    files["11/notes.txt"] = b"to come"
    dataset = validated(tmp_path, files)
    assert dataset.classes == ["9", "10", "test"] and len(dataset.images) == 19
    assert labels(dataset)["9/old/deep.png"] == "9"
    found = codes(dataset)
    assert (found["image-without-class"], found["class-nested"], found["class-empty"]) == (
        ["stray.png"],
        ["9/old/deep.png"],
        ["11"],
    )
    assert dataset.left_out == 1


def test_a_set_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    files = {f"s/{name}": content for name, content in FILES.items()}
    once = validated(tmp_path, files)
    doubled = validated(tmp_path, files | {f"s/{name}": content for name, content in files.items()})
    assert (doubled.classes, codes(doubled)) == (
        ["9", "10", "test"],
        {"folders-repeated": ["s/s"], "class-named-like-part": ["s/test"]},
    )
    assert doubled.digests.content_fingerprint == once.digests.content_fingerprint


def test_texts_beside_the_folders_make_no_other_format_of_them(tmp_path: Path) -> None:
    files = FILES | {"classes.txt": b"9\n10\ntest\n", "README.txt": b"hello", "labels.json": b'{"0": "9"}'}
    files |= {"9/about.xml": b"<about/>", "data.yaml": b"names: [a, b]", "train.txt": b"9/00.png\n"}
    dataset = validated(tmp_path, files)
    assert (dataset.format, dataset.classes, len(dataset.images)) == ("folders", ["9", "10", "test"], 18)


def test_an_empty_folder_is_seen_by_its_own_entry(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "data.zip", FILES)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("owl/", b"")
    (tmp_path / "into").mkdir()
    dataset = validate_archive(archive, tmp_path / "into", PrepareOptions(), processes=1, steps=StageReporter())
    assert codes(dataset) == {"class-empty": ["owl"], "class-named-like-part": ["test"]}


def test_an_image_in_two_classes_and_classes_of_few_are_reported(tmp_path: Path) -> None:
    files = FILES | {"test/copy.png": FILES["9/00.png"], "rare/1.png": shape("disc", seed="r1")}
    dataset = validated(tmp_path, files)
    found = codes(dataset)
    assert found["duplicate-labels-differ"] == ["test/copy.png"]
    assert len(found["class-rare"]) == 1 and len(found["class-not-in-split"]) == 2
    assert dataset.splits["test/copy.png"] == dataset.splits["9/00.png"]


def test_one_class_of_usable_images_is_none(tmp_path: Path) -> None:
    files = {name: content if name.startswith("9/") else b"broken" for name, content in FILES.items()}
    with pytest.raises(Rejected) as rejected:
        validated(tmp_path, files)
    assert "too-few-classes" in {finding.code for finding in rejected.value.findings}


def test_a_given_split_is_kept_and_its_leaks_and_gaps_are_reported(tmp_path: Path) -> None:
    files = folder_files(each=4, classes=("cat", "test"), splits=("train/", "valid/", "test/"))
    files |= {"test/cat/leak.png": files["train/cat/00.png"], "train/dog/1.png": shape("cross", seed="dog")}
    dataset = validated(tmp_path, files)
    assert dataset.classes == ["cat", "dog", "test"]
    assert {path: split for path, split in dataset.splits.items() if split != path.partition("/")[0]} == {
        path: "val" for path in files if path.startswith("valid/")
    }
    found = codes(dataset)
    assert found["split-leak"] == ["test/cat/leak.png"]
    assert len(found["class-not-in-split"]) == 2
    remade = validated(tmp_path, files, split="remake")
    assert remade.digests.content_fingerprint == dataset.digests.content_fingerprint
    assert remade.splits["test/cat/leak.png"] == remade.splits["train/cat/00.png"]


@pytest.mark.parametrize(
    ("names", "sizes"),
    [({"val_fraction": 0.34, "test_fraction": 0.34}, (2, 2)), ({"validation_size": 0.5, "test_size": 0.17}, (3, 1))],
)
def test_every_class_has_its_share_of_each_part(
    tmp_path: Path, names: dict[str, float], sizes: tuple[int, int]
) -> None:
    dataset = validated(tmp_path, FILES, **names)
    counts = Counter((label, dataset.splits[path]) for path, label in labels(dataset).items())
    assert {(counts[name, "val"], counts[name, "test"]) for name in CLASSES} == {sizes}


def test_a_changed_label_or_class_name_changes_the_fingerprint_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = dict(FILES)
    moved["10/00x.png"] = moved.pop("9/00.png")
    renamed = {name.replace("test/", "rest/"): content for name, content in FILES.items()}
    archives = [zip_files(tmp_path / f"{n}.zip", files) for n, files in enumerate((FILES, moved, renamed))]
    assert run(["fingerprint", "--diff", *map(str, archives[:2]), "--json", "--processes", "1"]) == 1
    leaves = json.loads(capsys.readouterr().out)
    assert leaves["first"]["content_fingerprint"] != leaves["second"]["content_fingerprint"]
    label = {"item": "label", "change": "changed", "path": "10/00x.png", "old": "9", "new": "10"}
    assert label in leaves["differences"]
    assert run(["fingerprint", "--diff", str(archives[0]), str(archives[2]), "--json", "--processes", "1"]) == 1
    leaves = json.loads(capsys.readouterr().out)
    assert leaves["first"]["content_fingerprint"] != leaves["second"]["content_fingerprint"]
    assert {(leaf["item"], leaf["change"]) for leaf in leaves["differences"]} >= {("class", "renamed")}
    assert "label" not in {leaf["item"] for leaf in leaves["differences"]}


ODD: Files = {
    "9/cmyk.jpg": image_bytes(mode="CMYK", seed=1),
    "9/deep.png": image_bytes(mode="I;16", format="PNG", seed=2),
    "9/moving.gif": image_bytes(mode="P", format="GIF", seed=3),
    "10/turned.jpg": turned(6, size=(96, 48)),
    "10/turned.png": turned(6, size=(96, 48), format="PNG"),
    "10/wrong.jpg": image_bytes(format="PNG", seed=4),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    archive = zip_files(folder / "data.zip", FILES | ODD)
    assert run(["prepare", str(archive), str(folder / "out"), "--processes", "1"]) == 0
    return folder / "out"


READ = """
import io, json, sys
import datasets
from PIL import Image
tree, how = sys.argv[1:]
if how == "load_from_disk":
    data = datasets.load_from_disk(tree + "/data")
else:
    data = datasets.load_dataset(tree)
seen = {"classes": data["train"].features["label"].names, "columns": list(data["train"].features), "rows": {}}
for split, rows in data.items():
    for row, raw in zip(rows, rows.cast_column("image", datasets.Image(decode=False))):
        image = row["image"]
        kind = Image.open(io.BytesIO(raw["image"]["bytes"])).format
        facts = [split, row["label"], image.mode, *image.size, kind, row["sha256"]]
        seen["rows"][row["path"]] = facts
print(json.dumps(seen))
"""


@pytest.mark.parametrize("how", ["load_from_disk", "load_dataset"])
def test_datasets_reads_the_tree_back_as_it_was_sent(prepared: Path, tmp_path: Path, how: str) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", READ, str(prepared / "tree"), how]
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["classes"] == ["9", "10", "test"] == json.loads((prepared / "tree" / "classes.json").read_text())
    assert seen["columns"] == ["image", "label", "path", "sha256"]
    manifest = json.loads((prepared / "tree" / "manifest.json").read_text())
    theirs = {"train": "train", "val": "validation", "test": "test"}
    expected = {i["path"]: [theirs[i["split"]], i["label"], i["sha256"]] for i in manifest["images"]}
    rows = seen["rows"]
    assert {path: [row[0], row[1], row[-1]] for path, row in rows.items()} == expected
    sent = FILES | ODD
    assert all(row[-1] == hashlib.sha256(sent[path]).hexdigest() for path, row in rows.items())
    assert [rows["9/cmyk.jpg"][2:6], rows["9/deep.png"][2:6]] == [["RGB", 96, 64, "PNG"], ["L", 96, 64, "PNG"]]
    assert rows["9/moving.gif"][5] == "PNG"
    assert [rows["10/turned.jpg"][3:6], rows["10/turned.png"][3:6]] == [[48, 96, "JPEG"], [48, 96, "PNG"]]
    assert rows["10/wrong.jpg"][5] == "PNG" and rows["9/00.png"][3:6] == [48, 48, "PNG"]


def test_the_metadata_counts_by_class_and_by_part(prepared: Path) -> None:
    metadata = json.loads((prepared / "dataset_metadata.json").read_text())
    assert (metadata["kind"], metadata["layout"]) == ("classification", {"name": "huggingface", "version": 2})
    assert metadata["per_class"]["test"]["images"] == {"total": 6, "train": 4, "val": 1, "test": 1}
    assert {part: entry["classes"] for part, entry in metadata["per_split"].items()} == dict.fromkeys(
        ("train", "val", "test"), 3
    )
    assert metadata["per_split"]["train"]["resolution"]["width"]["max"] == 96
    assert "boxes" not in metadata and metadata["images"]["background"] == 0 and metadata["images"]["converted"] == 4
    result = json.loads((prepared / "result.json").read_text())
    assert result["gallery"] == {"plots": ["class_distribution", "resolution_scatter"], "samples": 24}


def test_the_same_images_make_the_same_tar_whatever_is_round_them(prepared: Path, tmp_path: Path) -> None:
    sent = FILES | ODD
    archive = zip_files(tmp_path / "data.zip", {f"wrap/{name}": sent[name] for name in reversed(sorted(sent))} | JUNK)
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1"]) == 0
    assert _sha256(tmp_path / "out" / "dataset.tar") == _sha256(prepared / "dataset.tar")
    assert not (tmp_path / "out" / "config").exists()


def test_a_repaired_zip_of_folders_is_ready(tmp_path: Path) -> None:
    files = FILES | JUNK | {"9/cut.png": FILES["9/00.png"][:100], "9/wrong.jpg": shape("disc", seed="w"), "s.png": b"?"}
    archive = zip_files(tmp_path / "data.zip", files)
    assert run(["repair", str(archive), str(tmp_path / "repaired.zip"), "--processes", "1"]) == 0
    with zipfile.ZipFile(tmp_path / "repaired.zip") as repaired:
        contents = {name: repaired.read(name) for name in repaired.namelist() if name.endswith((".png", ".jpg"))}
    assert contents == FILES | {"9/wrong.png": files["9/wrong.jpg"]}
    dataset = validated(tmp_path, contents)
    assert dataset.classes == ["9", "10", "test"]
    assert [finding.code for finding in dataset.findings] == ["class-named-like-part"]


def test_large_sets_go_into_several_files_and_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.layouts.huggingface as layout

    monkeypatch.setattr(layout, "SHARD_BYTES", 8_000)
    monkeypatch.setattr(layout, "_BATCH_BYTES", 3_000)
    archive = zip_files(tmp_path / "data.zip", FILES)
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1"]) == 0
    train = tmp_path / "out" / "tree" / "data" / "train"
    names = sorted(path.name for path in train.glob("*.arrow"))
    assert len(names) > 2 and names[0] == f"data-00000-of-{len(names):05d}.arrow"
    tree = layout_rows(tmp_path / "out" / "tree")
    assert tree == {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}


def layout_rows(tree: Path) -> dict[str, str]:
    """Path -> sha256 of the bytes in the Arrow files, read with nothing but pyarrow."""
    import pyarrow as pa

    rows: dict[str, str] = {}
    for path in sorted(tree.glob("data/*/*.arrow")):
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    rows[row["path"]] = hashlib.sha256(row["image"]["bytes"]).hexdigest()
    return rows


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
