"""Oxford-IIIT Pet: the breeds of list.txt, the given split, and XML files that only a part of the images has."""

from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import pet_files
from tests.builders.voc import Files, zip_files

LIST = "pets/annotations/list.txt"


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    return read_dataset(extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0], [])


def _codes(dataset: Dataset) -> list[str]:
    return sorted(finding.code for finding in dataset.findings)


@pytest.mark.parametrize("with_xml", [0, 5])
def test_the_breeds_are_the_classes_and_the_lists_the_split(tmp_path: Path, with_xml: int) -> None:
    dataset = _read(tmp_path, pet_files(with_xml=with_xml))
    assert (dataset.format, dataset.kind) == ("oxford-pet", "classification") and not dataset.broken
    stems = {item.image.name.rpartition("/")[2][:-4]: item for item in dataset.items}
    assert len(stems) == 8 and all(item.label == stem.rpartition("_")[0] for stem, item in stems.items())
    assert {stem for stem, item in stems.items() if item.split == "test"} == {"Abyssinian_1", "Abyssinian_5"}
    assert {item.split for item in dataset.items} == {"train", "test"}
    assert _codes(dataset) == (["annotations-left-out"] if with_xml else []) + ["masks-left-out"]


def test_boxes_of_all_images_are_read_as_pascal_voc(tmp_path: Path) -> None:
    dataset = _read(tmp_path, pet_files(with_xml=8))
    assert dataset.format == "voc" and all(item.boxes[0].label == "cat" for item in dataset.items)
    assert not dataset.broken and LIST in [finding.path for finding in dataset.findings]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("Abyssinian_3 1 1 1", "Abyssinian_3 2 1 1", "class-id-unknown"),
        ("Abyssinian_3 1 1 1", "Abyssinian_3 1 1", "table-row-invalid"),
        ("Abyssinian_3 1 1 1", "Abyssinian_33 1 1 1", "image-missing"),
        ("Abyssinian_3 1 1 1\n", "", "image-without-class"),
    ],
)
def test_a_row_that_does_not_fit_is_reported(tmp_path: Path, old: str, new: str, code: str) -> None:
    files = pet_files()
    files[LIST] = files[LIST].replace(old.encode(), new.encode())
    dataset = _read(tmp_path, files)
    by_name = {item.image.name: item for item in dataset.items}
    wrong = "pets/images/Abyssinian_3.jpg"
    if code == "image-without-class":  # reported when the dataset is validated
        assert by_name[wrong].label is None
        return
    assert code in _codes(dataset) and (by_name[wrong].label is None or wrong in dataset.broken)
