"""What was read, and what was guessed to read it, is the same after a repair."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from pipeline.__main__ import run
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Box
from pipeline.dataset.validated import ValidatedDataset
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare, validate_archive
from pipeline.process.progress import StageReporter
from pipeline.process.results import Prepared
from pipeline.process.specs import PrepareSpec
from pipeline.repair.rewrite_zip import read_log
from tests.builders.encoded import raw_zip
from tests.builders.roles import labelled_yolo
from tests.builders.voc import XML, Files, annotation, image_bytes, voc_files, zip_files
from tests.builders.yolo_coco import coco_files, yolo_files

TRIANGLE = b"0 0.7 0.7 0.1 0.1 0.72 0.71\n"  # among polygons of other counts; alone, it would be a box and a keypoint
QUADRANGLE = b"0 0.2 0.2 0.8 0.2 0.8 0.7 0.3 0.8\n"
GONE = b"no image"


def _guessed_names(tmp_path: Path) -> Path:
    folders = [name.encode("cp932") for name in ("犬", "十字", "ソーダ")]
    files = {b"data/%b/%d.jpg" % (folder, n): image_bytes(seed=n) for folder in folders for n in range(6)}
    return raw_zip(tmp_path / "data.zip", files)


def _guessed_units(tmp_path: Path) -> Path:
    files = coco_files()
    for name in [each for each in files if each.endswith(".json")]:
        document = json.loads(files[name])
        for entry in document["annotations"]:
            entry["bbox"] = [0.25, 0.25, 0.5, 0.5]
        del document["annotations"][1::2]  # one box an image
        files[name] = json.dumps(document).encode()
    return zip_files(tmp_path / "data.zip", files)


def _track_ids(tmp_path: Path) -> Path:
    files = yolo_files()
    lines = (b"0 0.3 0.4 0.2 0.3 0.9%d %d\n1 0.6 0.5 0.2 0.3 0.81 3\n" % (n, n % 3 + 1) for n in range(99))
    files |= {name: next(lines) for name in files if name.endswith(".txt")}
    return zip_files(tmp_path / "data.zip", files)


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (_guessed_names, "names-encoding-guessed"),
        (_guessed_units, "boxes-as-fractions"),
        (_track_ids, "track-id-left-out"),
    ],
)
def test_a_warning_about_what_was_read_stays_when_the_repaired_zip_does_not_show_it(
    tmp_path: Path, archive: Callable[[Path], Path], code: str
) -> None:
    source = archive(tmp_path)
    before = _validated(source, tmp_path)
    repaired = _repaired(source, tmp_path)
    after = _validated(repaired, tmp_path)
    assert after.digests == before.digests
    reported = [each for each in before.findings if each.code == code]
    assert reported and reported[0].severity == "warning"
    assert [each for each in read_log(repaired) if each.code == code] == reported
    assert code not in {each.code for each in after.findings}, "the ZIP itself does not show it"


def test_a_repaired_set_has_the_warnings_of_its_log(tmp_path: Path) -> None:
    repaired = _repaired(_guessed_names(tmp_path), tmp_path)
    options = PrepareOptions.model_validate({})
    spec = PrepareSpec(archive=repaired, out=tmp_path / "out", options=options, processes=1, repaired=True)
    result = prepare(spec, StageReporter())
    assert isinstance(result, Prepared)
    assert result.findings["names-encoding-guessed"] == {"severity": "warning", "count": 1}
    assert result.findings["names-unusual"]["count"] == 1, "what the ZIP shows is reported once"


def test_labels_that_remain_are_read_as_they_were_among_all(tmp_path: Path) -> None:
    files = labelled_yolo(12)
    labels = sorted(name for name in files if name.endswith(".txt"))
    files |= dict.fromkeys(labels, TRIANGLE)
    broken = labels[1:4]
    files |= dict.fromkeys(broken, QUADRANGLE)
    expected = _boxes(zip_files(tmp_path / "whole.zip", files), tmp_path)
    files |= {name.replace("labels/", "images/").replace(".txt", ".jpg"): GONE for name in broken}
    boxes = _boxes(_repaired(zip_files(tmp_path / "data.zip", files), tmp_path), tmp_path)
    assert len(boxes) == 9 and boxes == {path: expected[path] for path in boxes}


@pytest.mark.parametrize("wrapped", [(0,), (1,), (2,), (0, 1, 2), (1, 2)])
def test_objects_at_any_depth_of_an_xml_keep_their_own_boxes(tmp_path: Path, wrapped: tuple[int, ...]) -> None:
    boxes = [("ball", 5, 5, 30, 30), ("cube", 60, 40, 40, 20), ("disc", 200, 10, 240, 30), ("ball", 50, 30, 70, 50)]
    head, *objects = annotation("p00.jpg", boxes).removesuffix(b"</annotation>\n").split(b"<object>")
    objects = [b"<object>" + each for each in objects]
    nested = (b"<objects>" + each + b"</objects>" if at in wrapped else each for at, each in enumerate(objects))
    files = voc_files() | {XML: head + b"".join(nested) + b"</annotation>"}
    repaired = _validated(_repaired(zip_files(tmp_path / "data.zip", files), tmp_path), tmp_path)
    (image,) = (image for image in repaired.images if image.path == "p00.jpg")
    assert [(repaired.classes[box.class_id], *(edge // 1000 for edge in box[1:5])) for box in image.boxes] == [
        ("ball", 4, 4, 30, 30),
        ("ball", 49, 29, 70, 50),
        ("cube", 39, 19, 60, 40),
    ]


def test_images_without_a_label_are_kept_where_the_option_makes_them_background(tmp_path: Path) -> None:
    files = labelled_yolo(4)
    bare: Files = {f"images/train/bare{n}.jpg": image_bytes(seed=100 + n) for n in range(6)}
    source = zip_files(tmp_path / "data.zip", files | bare)
    kept = _images(_repaired(source, tmp_path, "--background", "unlabelled"))
    assert kept == {name for name in files | bare if name.endswith(".jpg")}
    left = _images(_repaired(source, tmp_path))
    assert left == {name for name in files if name.endswith(".jpg")}, "else they are left out, as prepare rejects them"


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("part", "option", "kept"), [("val", "keep", 9), ("test", "keep", 9), ("val", "remake", 12)])
def test_an_image_that_an_unread_list_may_name_is_left_out(
    tmp_path: Path, part: str, named: bool, option: str, kept: int
) -> None:
    files: Files = {name.replace("train/", "").replace("val/", ""): each for name, each in labelled_yolo(12).items()}
    lists = f"train: train.txt\n{part}: {part}.txt\n" if named else ""
    files["data.yaml"] = f"{lists}names: [weld]\n".encode()
    files["train.txt"] = "".join(f"./images/{at}.jpg\n" for at in range(9)).encode()
    files[f"{part}.txt"] = "".join(f"./images/{at}.jpg  # 验证\n" for at in range(9, 12)).encode("gbk")
    archive = zip_files(tmp_path / "data.zip", files)
    with pytest.raises(Rejected) as rejected:
        _validated(archive, tmp_path)
    assert [each.path for each in rejected.value.findings if each.code == "text-encoding"] == [f"{part}.txt"]
    images = _images(_repaired(archive, tmp_path, "--split", option))
    assert len(images) == kept and {f"images/{at}.jpg" for at in range(9)} <= images


def test_the_data_yaml_of_a_repaired_zip_has_no_path(tmp_path: Path) -> None:
    repaired = _repaired(zip_files(tmp_path / "data.zip", yolo_files()), tmp_path)
    with zipfile.ZipFile(repaired) as archive:
        content = yaml.safe_load(archive.read("data.yaml"))
    assert content == {"train": "train.txt", "val": "val.txt", "names": {0: "ball", 1: "cube"}}


def test_nothing_is_said_of_images_that_are_left_out(tmp_path: Path) -> None:
    files = labelled_yolo(9) | {"images/train/bare.jpg": image_bytes(seed=100), "images/train/gone.jpg": GONE}
    repaired = _repaired(zip_files(tmp_path / "data.zip", files), tmp_path)
    assert [(each.code, each.path) for each in read_log(repaired)] == [
        ("image-without-annotation", "images/train/bare.jpg"),
        ("repair-image-left-out", "images/train/gone.jpg"),
    ]


def test_what_is_unchanged_leaves_room_for_the_changes_in_a_log(tmp_path: Path) -> None:
    files = labelled_yolo(60) | {f"images/train/bare{n}.jpg": image_bytes(seed=100 + n) for n in range(30)}
    repaired = _repaired(zip_files(tmp_path / "data.zip", files | {"images/train/gone.jpg": GONE}), tmp_path)
    codes = [each.code for each in read_log(repaired)]
    assert codes == ["image-without-annotation"] * 20 + ["repair-image-left-out"]


def _repaired(source: Path, tmp_path: Path, *options: str) -> Path:
    target = tmp_path / "repaired.zip"
    assert run(["repair", str(source), str(target), "--processes", "1", *options]) == 0
    return target


def _validated(archive: Path, tmp_path: Path) -> ValidatedDataset:
    options = PrepareOptions.model_validate({})
    with TemporaryDirectory(dir=tmp_path) as scratch:
        return validate_archive(archive, Path(scratch), options, processes=1, steps=StageReporter())


def _boxes(archive: Path, tmp_path: Path) -> dict[str, tuple[Box, ...]]:
    return {image.path: image.boxes for image in _validated(archive, tmp_path).images}


def _images(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as file:
        return {name for name in file.namelist() if name.endswith(".jpg")}
