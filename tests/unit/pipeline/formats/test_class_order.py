"""`class_order.txt` in archives of several formats: the ids of classes, in the prepared set and after a repair."""

from pathlib import Path

import pytest

from pipeline.archive.source import Rejected
from pipeline.dataset.validated import ValidatedDataset
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from pipeline.repair.rewrite_zip import repair
from tests.builders.class_folders import folder_files
from tests.builders.voc import Files, voc_files, zip_files
from tests.builders.yolo_coco import yolo_files

CLASSES = ("cube", "ball", "ant")
ORDER = b"cube\n no such \r\n\nball\n"


def folders() -> Files:
    return {f"set/{name}": content for name, content in folder_files(each=6, classes=CLASSES).items()}


def validated(archive: Path) -> ValidatedDataset:
    into = archive.with_suffix(".extracted")
    into.mkdir()
    return validate_archive(archive, into, PrepareOptions(), processes=1, steps=StageReporter())


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (folders(), ["cube", "ball", "ant"]),
        (voc_files(classes=CLASSES), ["cube", "ball", "ant"]),
        (yolo_files(), ["cube", "ball"]),
    ],
    ids=["folders", "voc", "yolo"],
)
def test_the_order_of_an_archive_gives_the_ids_also_after_a_repair(
    tmp_path: Path, files: Files, classes: list[str]
) -> None:
    plain = validated(zip_files(tmp_path / "plain.zip", files))
    assert plain.classes == sorted(classes)
    archive = zip_files(tmp_path / "data.zip", files | {"set/class_order.txt": ORDER})
    dataset = validated(archive)
    assert dataset.classes == classes
    added = {finding.code for finding in dataset.findings} - {finding.code for finding in plain.findings}
    assert added == {"class-order-unused"}
    assert {p.path: {dataset.classes[at] for at in p.class_ids} for p in dataset.images} == {
        p.path: {plain.classes[at] for at in p.class_ids} for p in plain.images
    }
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    repair(archive, tmp_path / "repaired.zip", scratch, processes=1, steps=StageReporter())
    assert validated(tmp_path / "repaired.zip").classes == classes


@pytest.mark.parametrize(
    "added",
    [
        {"class_order.txt": b"cube\nball\ncube\n"},
        {"class_order.txt": b"cube\n", "set/class_order.txt": b"cube\n"},
        {"class_order.txt": b"\xff\xfe\x00"},
    ],
    ids=["repeated", "several", "unread"],
)
def test_an_order_that_is_none_rejects_the_dataset(tmp_path: Path, added: Files) -> None:
    with pytest.raises(Rejected) as rejected:
        validated(zip_files(tmp_path / "data.zip", folders() | added))
    found = [finding for finding in rejected.value.findings if finding.severity == "error"]
    assert len(found) == 1 and found[0].code in ("class-order-invalid", "text-encoding"), found
    assert found[0].path.endswith("class_order.txt")
