"""What states a split is used or named in an error: over layouts, sources, words, nesting and ways to write paths."""

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from core.domain.findings import Finding, Severity
from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.splits import (
    LAYOUTS,
    TRUTH,
    WRITTEN,
    coco_json,
    csv_table,
    in_archive,
    lists,
    paths,
    paths_by_part,
    voc_layout,
    yolo_layout,
)
from tests.builders.voc import Files, zip_files

WORDS = {"train": "train", "val": "val", "test": "test"}
VARIANTS = (
    WORDS,
    {"train": "Train", "val": "valid", "test": "Testing"},
    {"train": "training", "val": "validation", "test": "test"},
    {"train": "train", "val": "validate", "test": "test"},
    {"train": "train", "val": "eval", "test": "test"},
    {"train": "train", "val": "evaluation", "test": "testing"},
    {"train": "train", "val": "dev", "test": "test"},
    {"train": "train", "val": "holdout", "test": "test"},
    {"train": "images_train", "val": "images_val", "test": "images_test"},
    {"train": "trainset", "val": "valset", "test": "testset"},
)


def _read(tmp_path: Path, files: Files, split: str = "keep") -> Dataset:
    into = tmp_path / f"into-{len(list(tmp_path.iterdir()))}"
    into.mkdir()
    source, findings = extract(zip_files(tmp_path / "data.zip", files), into, threads=1, tick=lambda *_: None)
    return read_dataset(source, findings, split=split)


def _splits(dataset: Dataset) -> dict[str, str | None]:
    return {item.image.name.rpartition("/")[2][:-4]: item.split for item in dataset.items}


def _of(dataset: Dataset, prefix: str = "split") -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in dataset.findings if each.code.startswith(prefix)]


def _errors(dataset: Dataset) -> list[Finding]:
    return [each for each in dataset.findings if each.severity is Severity.ERROR]


def _assert_true(dataset: Dataset, case: object) -> None:
    assert _splits(dataset) == TRUTH, case
    assert not _errors(dataset) and not _of(dataset), (case, dataset.findings)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pattern", ["{}/{}.jpg", "images/{}/{}.jpg", "{}/images/{}.jpg", "a/set 1/{}/b/{}.jpg"])
def test_folders_give_the_split_of_every_layout(tmp_path: Path, layout: str, pattern: str) -> None:
    for words in VARIANTS:
        files = LAYOUTS[layout](paths_by_part(words, pattern))
        _assert_true(_read(tmp_path, files), words)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("written", WRITTEN)
def test_lists_give_the_split_of_every_layout(tmp_path: Path, layout: str, written: str) -> None:
    names = ("{}.txt", "splits/my_{}.txt", "{}list01.txt", "ImageSets/Main/{}.txt", "meta/{}/files.lst")
    for words, name in zip(VARIANTS, (*names, *names), strict=False):
        files = LAYOUTS[layout](paths("a/images/"))
        files |= lists(in_archive(files), words, written, name=name)
        _assert_true(_read(tmp_path, files), (words, name))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_that_name_the_parts_give_the_split_of_every_layout(tmp_path: Path, layout: str) -> None:
    for words in VARIANTS[:2]:
        files = LAYOUTS[layout](paths())
        named = lists(in_archive(files), words, "absolute", name="parts/{}-a.txt")
        train, val, test = named
        stated: dict[str, bytes] = {
            "data.yaml": f"train: /x/{train}\nval: ../{val}\ntest: {test}\nnames: [ball]\n".encode(),
            "cfg/set.data": f"train = /x/{train}\nvalid = {val}\ntest={test}\n".encode(),
        }
        for name, content in stated.items():
            dataset = _read(tmp_path, files | named | {name: content})
            assert _splits(dataset) == TRUTH and not _errors(dataset), (words, name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_of_a_split_give_the_split_of_every_layout(tmp_path: Path, layout: str) -> None:
    files = LAYOUTS[layout](paths())
    images = in_archive(files)
    by_part = {part: [images[stem] for stem in TRUTH if TRUTH[stem] == part] for part in WORDS}
    quoted = {part: "[" + ", ".join(f'"{name}"' for name in names) + "]" for part, names in by_part.items()}
    tables = {
        "split.csv": "\n".join(["image,split", *(f"{images[stem]},{part}" for stem, part in TRUTH.items())]),
        "parts.txt": "\n".join(f"{images[stem]} {part}" for stem, part in TRUTH.items()),
        "splits.json": "{" + ", ".join(f'"{part}": {names}' for part, names in quoted.items()) + "}",
        "nested.json": '{"splits": {' + ", ".join(f'"{part}": {names}' for part, names in quoted.items()) + "}}",
        "records.json": json.dumps([{"file_name": images[stem], "split": part} for stem, part in TRUTH.items()]),
        "by_name.json": "{" + ", ".join(f'"{images[stem]}": "{part}"' for stem, part in TRUTH.items()) + "}",
    }
    for name, text in tables.items():
        _assert_true(_read(tmp_path, files | {name: text.encode()}), name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_yaml_of_images_gives_the_split_of_every_layout(tmp_path: Path, layout: str) -> None:
    files = LAYOUTS[layout](paths())
    images = in_archive(files)
    by_part = {part: [images[stem] for stem in TRUTH if TRUTH[stem] == part] for part in WORDS}
    stems = {part: [name.rpartition("/")[2][:-4] for name in names] for part, names in by_part.items()}
    yamls = {
        "split.yaml": yaml.safe_dump(by_part),
        "meta/splits.yml": yaml.safe_dump(stems),
        "nested.yaml": yaml.safe_dump({"seed": 1, "splits": by_part}),
    }
    for name, text in yamls.items():
        dataset = _read(tmp_path, files | {name: text.encode()})
        _assert_true(dataset, name)
        assert not _of(dataset, "yaml"), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_yaml_that_holds_out_images_that_are_not_there_is_an_error(tmp_path: Path, layout: str) -> None:
    text = b"train: [other/1.jpg, other/2.jpg]\nval: [other/3.jpg, other/4.jpg, plain2.jpg]\n"
    dataset = _read(tmp_path, LAYOUTS[layout](paths()) | {"split.yaml": text})
    assert [(each.code, each.path) for each in _errors(dataset)] == [("split-list-held-out", "split.yaml")]
    assert len(dataset.broken) == len(TRUTH)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_and_json_of_one_part_each_give_the_split_of_every_layout(tmp_path: Path, layout: str) -> None:
    files = LAYOUTS[layout](paths())
    images = in_archive(files)
    by_part = {part: [images[stem] for stem in TRUTH if TRUTH[stem] == part] for part in WORDS}
    write: dict[str, Callable[[list[str]], str]] = {
        "my_{}.csv": lambda names: "\n".join(["filename", *names]),
        "{}.csv": lambda names: "\n".join(names),
        "meta/{}/files.csv": lambda names: "\n".join(["filename", *names]),
        "{}.json": json.dumps,
        "{}_images.json": lambda names: json.dumps([{"id": at, "file_name": name} for at, name in enumerate(names)]),
    }
    if layout != "folders":  # other columns may be the classes
        write["meta/{}.tsv"] = lambda names: "\n".join(f"{at}\t{name}\tsunny\t0.5" for at, name in enumerate(names))
    for name, written in write.items():
        given = {name.format(part): written(names).encode() for part, names in by_part.items()}
        _assert_true(_read(tmp_path, files | given), name)


def test_the_images_of_a_coco_json_may_state_their_part(tmp_path: Path) -> None:
    images = paths()
    files = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    document = json.loads(coco_json(images))
    for entry, part in zip(document["images"], TRUTH.values(), strict=True):
        entry["split"] = part
    _assert_true(_read(tmp_path, files | {"all.json": json.dumps(document).encode()}), "split")
    document["images"][0]["split"] = "fold 1"
    dataset = _read(tmp_path, files | {"all.json": json.dumps(document).encode()})
    assert _of(dataset) == [("split-value-unknown", "all.json")]


def test_a_list_in_a_file_that_is_not_read_is_named(tmp_path: Path) -> None:
    dataset = _read(tmp_path, voc_layout(paths()) | {"val.npy": b"x", "train.npy": b"x", "test.py": b"x"})
    assert _of(dataset) == [("split-list-unused", "val.npy")]


@pytest.mark.parametrize("words", VARIANTS[:-2], ids=lambda words: "-".join(words.values()))
def test_names_of_annotation_files_and_columns_give_the_split(tmp_path: Path, words: Mapping[str, str]) -> None:
    images = paths()
    files = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    of_part = {part: {stem: path for stem, path in images.items() if TRUTH[stem] == part} for part in words}
    coco = {f"annotations/instances_{words[part]}2017.json": coco_json(of) for part, of in of_part.items()}
    tables = {f"{words[part]}_labels.csv": csv_table(of) for part, of in of_part.items()}
    column = {"annotations.csv": csv_table(images, {stem: words[part] for stem, part in TRUTH.items()})}
    for more in (coco, tables, column):
        _assert_true(_read(tmp_path, files | more), words)


CONFLICTS = (
    "yaml and folders",
    "yaml and lists",
    "lists and folders",
    "names of files and lists",
    "column and folders",
)


def _conflict(kind: str) -> tuple[Files, str]:
    """(files whose stronger source trains on what the weaker one holds out, a word of the stronger one's name)."""
    by_part = paths_by_part(WORDS, "images/{}/{}.jpg")
    flat = paths()
    if kind == "yaml and folders":
        return yolo_layout(by_part) | {
            "data.yaml": b"train: [images/train, images/val]\nval: images/test\nnames: [ball]\n"
        }, "data.yaml"
    if kind == "yaml and lists":
        listed = "".join(f"{flat[stem]}\n" for stem in TRUTH if TRUTH[stem] != "test").encode()
        files = yolo_layout(flat) | lists(flat, WORDS) | {"a.txt": listed}
        return files | {"data.yaml": b"train: a.txt\nval: test.txt\nnames: [ball]\n"}, "data.yaml"
    if kind == "lists and folders":
        train = "".join(f"{stem}\n" for stem in TRUTH if TRUTH[stem] != "test").encode()
        return voc_layout(by_part) | {"train.txt": train, "val.txt": b"plain5\n"}, "train.txt"
    only_images = {name: content for name, content in voc_layout(by_part).items() if name.endswith(".jpg")}
    if kind == "names of files and lists":
        train = {stem: path for stem, path in by_part.items() if TRUTH[stem] != "test"}
        test = {stem: path for stem, path in by_part.items() if TRUTH[stem] == "test"}
        files = only_images | {"train.json": coco_json(train), "test.json": coco_json(test)}
        return files | {"val.txt": by_part["\u00d6l4"].encode()}, "train.json"
    column = {stem: "test" if part == "test" else "train" for stem, part in TRUTH.items()}
    return only_images | {"annotations.csv": csv_table(by_part, column)}, "annotations.csv"


@pytest.mark.parametrize("kind", CONFLICTS)
def test_what_a_weaker_source_holds_out_is_never_trained_on_in_silence(tmp_path: Path, kind: str) -> None:
    files, stronger = _conflict(kind)
    dataset = _read(tmp_path, files)
    found = [each for each in _errors(dataset) if each.code == "split-held-out"]
    assert found and all(stronger in each.detail and "\u00d6l4" in each.detail for each in found)
    assert {name.rpartition("/")[2] for name in dataset.broken} == {"\u00d6l4.jpg"}
    remade = _read(tmp_path, files, split="remake")
    assert not _errors(remade) and not remade.broken


def test_of_equal_lists_the_one_that_holds_out_counts(tmp_path: Path) -> None:
    files = voc_layout(paths())
    files |= lists(in_archive(files), WORDS, "stem") | {"extra_train.txt": b"plain5\nplain2\n"}
    dataset = _read(tmp_path, files)
    assert _splits(dataset) == TRUTH
    assert _of(dataset) == [("split-conflict", "test.txt")] and not _errors(dataset)


def test_lists_of_several_folds_that_leave_nothing_to_train_on_are_an_error(tmp_path: Path) -> None:
    files = voc_layout(paths())
    stems = list(TRUTH)
    for fold in range(2):
        test = stems[fold::2]
        files[f"splits/fold{fold}/test.txt"] = "\n".join(test).encode()
        files[f"splits/fold{fold}/train.txt"] = "\n".join(stem for stem in stems if stem not in test).encode()
    folds = [{"train": stems[1 - fold :: 2], "val": stems[fold::2]} for fold in range(2)]
    for given in (files, voc_layout(paths()) | {"splits_final.json": json.dumps(folds).encode()}):
        dataset = _read(tmp_path, given)
        assert {each.code for each in _errors(dataset)} == {"split-held-out"} and len(dataset.broken) == len(stems)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("part", ["val", "test"])
def test_a_held_out_part_alone_leaves_the_rest_to_train(tmp_path: Path, layout: str, part: str) -> None:
    flat = LAYOUTS[layout](paths("set/images/"))
    held = [stem for stem in TRUTH if TRUTH[stem] == part]
    listed = flat | {f"{part}.txt": "\n".join(in_archive(flat)[stem] for stem in held).encode()}
    folders = {stem: f"set/{part if stem in held else 'images'}/{stem}.jpg" for stem in TRUTH}
    for files in (listed, LAYOUTS[layout](folders)):
        dataset = _read(tmp_path, files)
        assert {stem for stem, split in _splits(dataset).items() if split == part} == set(held)
        assert set(_splits(dataset).values()) <= {part, "train", None} and not _of(dataset)


def test_a_folder_that_holds_out_counts_for_what_the_lists_leave_open(tmp_path: Path) -> None:
    images = {stem: f"{'test' if TRUTH[stem] == 'test' else 'images'}/{stem}.jpg" for stem in TRUTH}
    given = lists(images, {"train": "train", "val": "val"}, "stem")
    _assert_true(_read(tmp_path, voc_layout(images) | given), "test/")


@pytest.mark.parametrize("count", range(1, 5))
def test_unknown_folders_are_named_exactly_where_they_lie_beside_parts(tmp_path: Path, count: int) -> None:
    for names in combinations(("train", "val", "test", "later", "images", "part2"), count):
        images = {f"{name}{at}": f"set/{name}/x/{name}{at}.jpg" for name in names for at in range(2)}
        parts = WORDS.keys() & set(names)
        unknown = [name for name in names if name not in parts and parts]
        unknown = [name for name in unknown if not (name == "images" and "train" not in parts)]
        found = [each for each in _read(tmp_path, voc_layout(images)).findings if each.code == "split-folder-unknown"]
        assert [each.path for each in found] == [f"set/{name}" for name in sorted(unknown)[:1]], names
        assert all(name in each.detail for each in found for name in unknown)


@pytest.mark.parametrize(
    ("name", "lines", "code"),
    [
        ("fold1.txt", ["plain2", "plain3"], "split-list-unused"),
        ("splits/a.txt", ["images/plain2.jpg"], "split-list-unused"),
        ("train_test.txt", ["plain2", "plain3"], "split-list-held-out"),
        ("val_or_test.lst", ["plain2.jpg"], "split-list-held-out"),
        ("val.txt", ["other/1.jpg", "other/2.jpg"], "split-list-held-out"),
        ("test.txt", ["nothing here"], "split-list-unused"),
        ("all.txt", list(TRUTH), None),
        ("notes.txt", ["plain2 is the best of all", "the others are not"], None),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_list_without_effect_is_named(
    tmp_path: Path, layout: str, name: str, lines: list[str], code: str | None
) -> None:
    dataset = _read(tmp_path, LAYOUTS[layout](paths()) | {name: "\n".join(lines).encode()})
    assert _of(dataset) == ([(code, name)] if code else [])
    assert bool(_errors(dataset)) == bool(dataset.broken) == (code == "split-list-held-out")


def test_a_json_of_no_part_beside_those_of_parts_is_an_error_unless_it_repeats_them(tmp_path: Path) -> None:
    images = paths()
    files = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    stems = list(images)
    first, second = ({stem: images[stem] for stem in some} for some in (stems[:4], stems[4:]))
    beside = {"a/train.json": coco_json(first), "a/instances_b.json": coco_json(second)}
    dataset = _read(tmp_path, files | beside)
    assert [(each.code, each.path) for each in _errors(dataset)] == [("split-file-unknown", "a/instances_b.json")]
    assert not _errors(_read(tmp_path, files | beside, split="remake"))
    same = {"a/train.json": coco_json(first), "a/val.json": coco_json(second), "a/all.json": coco_json(images)}
    dataset = _read(tmp_path, files | same)
    assert not _errors(dataset) and "json-sum-left-out" in {each.code for each in dataset.findings}
    held = {"a/val.json": coco_json(second), "a/rest.json": coco_json(first)}
    assert {stem for stem, split in _splits(_read(tmp_path, files | held)).items() if split == "val"} == set(stems[4:])


@pytest.mark.parametrize(
    ("train", "code"),
    [("Images/Train", "yaml-path-case"), ("ima\u0308ges/train", None), ("nowhere", "yaml-path-missing")],
)
def test_paths_of_a_data_yaml_compare_after_nfc_and_then_without_case(
    tmp_path: Path, train: str, code: str | None
) -> None:
    folder = "im\u00e4ges" if code is None else "images"
    images = {stem: f"{folder}/{'train' if TRUTH[stem] == 'train' else 'hidden'}/{stem}.jpg" for stem in TRUTH}
    yaml = f"train: {train}\nval: {folder}/hidden\nnames: [ball]\n".encode()
    dataset = _read(tmp_path, yolo_layout(images) | {"data.yaml": yaml})
    assert _splits(dataset) == {stem: "train" if TRUTH[stem] == "train" else "val" for stem in TRUTH}
    assert [each for each, _ in _of(dataset, "yaml")] == ([code] if code else [])


def test_an_image_whose_rows_name_two_parts_is_held_out(tmp_path: Path) -> None:
    images = paths()
    files = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    table = csv_table(images, dict(TRUTH)) + csv_table(images, dict.fromkeys(TRUTH, "train")).split(b"\n", 1)[1]
    dataset = _read(tmp_path, files | {"annotations.csv": table.replace(b"5,5,30,30,train", b"6,6,30,30,train", 1)})
    assert _splits(dataset) == TRUTH
    assert _of(dataset) == [("split-conflict", "annotations.csv")] * 2


def test_a_column_of_unknown_parts_is_named(tmp_path: Path) -> None:
    images = paths()
    files = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    dataset = _read(tmp_path, files | {"annotations.csv": csv_table(images, dict.fromkeys(TRUTH, "fold 3"))})
    assert _of(dataset) == [("split-value-unknown", "annotations.csv")]


@pytest.mark.parametrize(
    ("column", "held", "other", "part"),
    [("is_valid", "True", "False", "val"), ("is_val", "1", "0", "val"), ("is_test", "yes", "no", "test")],
)
def test_a_flag_column_holds_images_out(tmp_path: Path, column: str, held: str, other: str, part: str) -> None:
    images = paths()
    only_images = {name: content for name, content in voc_layout(images).items() if name.endswith(".jpg")}
    flags = {stem: held if TRUTH[stem] == part else other for stem in TRUTH}
    boxes = csv_table(images, flags).replace(b",split", f",{column}".encode())
    rows = [f"fname,label,{column}", *(f"{path},{stem[-1]},{flags[stem]}" for stem, path in images.items())]
    for table in (boxes, "\n".join(rows).encode()):
        dataset = _read(tmp_path, only_images | {"labels.csv": table})
        assert _splits(dataset) == {stem: part if TRUTH[stem] == part else "train" for stem in TRUTH}
        assert not _of(dataset)
