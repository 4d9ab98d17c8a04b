"""Lists of class names under unusual names and in other forms, counted from 0 or from 1."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.voc import Files, image_bytes, zip_files

NAMES = ("ant", "red bee", "蝶")
Written = Callable[[int], str]  # the list, counted from this number


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return read_dataset(extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0], [])


def _labels(*numbers: int) -> Files:
    files: Files = {}
    for at, number in enumerate(numbers):
        files |= {
            f"images/p{at}.jpg": image_bytes(seed=at),
            f"labels/p{at}.txt": f"{number} 0.5 0.5 0.2 0.2\n".encode(),
        }
    return files


def _lines(first: int, text: str, end: str = "\n") -> str:
    return end.join(text.format(n=number, name=name) for number, name in enumerate(NAMES, start=first))


PLAIN = (
    "obj_names.txt",
    "labels.txt",
    "categories.txt",
    "label-map.txt",
    "my classes.txt",
    "ClassNames.txt",
    "synset.txt",
)
FORMS: dict[str, Written] = {
    "labels.txt": lambda first: _lines(first, "{n} {name}"),
    "class_mapping.txt": lambda first: _lines(first, "{n}: {name}"),
    "class_list.txt": lambda first: _lines(first, "{n}. {name}"),
    "classes.csv": lambda first: _lines(first, "{name},{n}"),
    "class_names.csv": lambda first: "id,name\n" + _lines(first, "{n},{name}"),
    "labels.tsv": lambda first: _lines(first, "{n}\t{name}"),
    "label_map.pbtxt": lambda first: _lines(first, "item {{\n  id: {n}\n  name: '{name}'\n}}"),
    "notes.json": lambda first: json.dumps(
        {"categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, start=first)], "info": {"year": 2024}}
    ),
    "id2label.json": lambda first: json.dumps({str(n): name for n, name in enumerate(NAMES, start=first)}),
    "label2id.json": lambda first: json.dumps({name: n for n, name in enumerate(NAMES, start=first)}),
}


@pytest.mark.parametrize("name", [*PLAIN, "classes.json", "x_classes.csv", "names.lst", "set.names", "_darknet.labels"])
def test_a_list_without_numbers_is_read_under_any_name_that_says_so(tmp_path: Path, name: str) -> None:
    text = json.dumps(NAMES) if name.endswith(".json") else "\n".join(NAMES)
    dataset = _read(tmp_path, _labels(0, 1, 2, 1) | {name: text.encode()})
    assert [item.boxes[0].label for item in dataset.items] == ["ant", "red bee", "蝶", "red bee"]
    assert not dataset.findings and not dataset.broken


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("first", "lowest"), [(0, 0), (1, 0), (1, 1)])
def test_a_numbered_list_is_counted_as_the_labels_are(tmp_path: Path, name: str, first: int, lowest: int) -> None:
    dataset = _read(
        tmp_path, _labels(*(number + lowest for number in (0, 1, 2, 1))) | {name: FORMS[name](first).encode()}
    )
    assert [item.boxes[0].label for item in dataset.items] == ["ant", "red bee", "蝶", "red bee"]
    assert not dataset.findings and not dataset.broken


@pytest.mark.parametrize("name", FORMS)
def test_a_list_from_1_whose_labels_have_neither_end_is_an_error(tmp_path: Path, name: str) -> None:
    dataset = _read(tmp_path, _labels(1, 2, 1, 2) | {name: FORMS[name](1).encode()})
    assert [finding.code for finding in dataset.findings] == ["class-list-unclear"] and len(dataset.broken) == 4


@pytest.mark.parametrize("comment", ["# of the survey", "// 3 classes"])
def test_a_comment_in_a_list_is_an_error_and_never_class_0(tmp_path: Path, comment: str) -> None:
    dataset = _read(tmp_path, _labels(0, 1, 2, 1) | {"classes.txt": "\n".join([comment, *NAMES]).encode()})
    assert [(each.code, each.line) for each in dataset.findings] == [("class-list-unclear", 1)]
    assert len(dataset.broken) == 4


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("first", [0, 1])
def test_a_second_list_that_agrees_is_no_finding_and_one_that_differs_is_an_error(
    tmp_path: Path, name: str, first: int
) -> None:
    files = _labels(0, 1, 2, 0) | {"classes.txt": "\n".join(NAMES).encode()}
    agrees = _read(tmp_path, files | {f"more/{name}": FORMS[name](first).encode()})
    assert not agrees.findings and not agrees.broken
    differs = FORMS[name](first).replace("ant", "-").replace("red bee", "ant").replace("-", "red bee")
    dataset = _read(tmp_path, files | {name: differs.encode()})
    assert "class-lists-differ" in [finding.code for finding in dataset.findings]


@pytest.mark.parametrize("name", ["classes.md", "CLASSES", "label_names"])
def test_a_list_of_a_kind_that_is_not_read_is_an_error(tmp_path: Path, name: str) -> None:
    dataset = _read(tmp_path, _labels(0, 1, 2, 1) | {name: "\n".join(NAMES).encode()})
    errors = [(each.code, each.path) for each in dataset.findings if each.severity == "error"]
    assert errors == [("class-list-unread", name)] and len(dataset.broken) == 4


def test_a_text_of_as_many_lines_is_named_and_not_used(tmp_path: Path) -> None:
    dataset = _read(tmp_path, _labels(0, 1, 2, 1) | {"klassen.txt": "\n".join(NAMES).encode()})
    (finding,) = dataset.findings
    assert finding.code == "class-names-missing" and "klassen.txt has as many lines" in finding.detail
    assert dataset.items[0].boxes[0].label == "0"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label_counts.csv", b"ant,120\nred bee,50\n"),
        ("class_weights.json", b'{"0": 1.5, "1": 0.5}'),
        ("labels_coco.json", b'{"images": [], "annotations": [], "categories": [{"id": 4, "name": "ant"}]}'),
        ("readme_classes.txt", b"The classes of this set are described in the paper, see https://a.b/c for more.\n"),
        ("names.json", b"{"),
    ],
)
def test_other_files_with_such_names_are_no_lists(tmp_path: Path, name: str, content: bytes) -> None:
    files = _labels(0, 1, 2, 1) | {"classes.txt": "\n".join(NAMES).encode(), name: content}
    dataset = _read(tmp_path, files)
    assert not [each for each in dataset.findings if each.severity == "error"] and not dataset.broken
