"""Datasets that look odd and are right: what they hold is used as it is, and what is wrong beside it is named."""

import json
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from core.domain.findings import Severity
from pipeline.__main__ import run
from pipeline.archive.source import Rejected
from pipeline.dataset.validated import ValidatedDataset
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.roles import labelled_yolo
from tests.builders.voc import SIZE, Files, annotation, image_bytes, zip_files
from tests.unit.pipeline.prepare.test_near_duplicates import encoded, photograph

LAYOUTS = [  # (images, labels) whose file names are equal
    ("some/folder/{}.jpg", "some/folder/{}.txt"),
    ("another/folder/images/{}.jpg", "another/folder/images/{}.txt"),
    ("third/images/{}.jpg", "third/labels/{}.txt"),
    ("fourth/images/night/{}.jpg", "fourth/labels/night/{}.txt"),
]
Boxes = dict[str, list[tuple[str, float, float, float, float]]]


@pytest.mark.parametrize("order", list(permutations(range(4), 3)))
def test_equal_names_in_three_layouts_keep_their_own_boxes(tmp_path: Path, order: tuple[int, ...]) -> None:
    files: Files = {"classes.txt": b"fox\n"}
    expected: Boxes = {}
    for place, side in zip(order, (0.2, 0.4, 0.6), strict=True):
        for at in range(4):
            image, label = (name.format(f"image{at:03}") for name in LAYOUTS[place])
            files[image] = image_bytes(seed=10 * place + at)
            files[label] = f"0 0.5 0.5 {side} {side}\n".encode()
            low, high = 0.5 - side / 2, 0.5 + side / 2
            expected[image] = [("fox", low * SIZE[0], low * SIZE[1], high * SIZE[0], high * SIZE[1])]
    dataset = _validated(tmp_path, files)
    assert _boxes(dataset) == _near(expected)
    assert not [each for each in dataset.findings if each.severity is not Severity.NOTE]


@pytest.mark.parametrize("path", ["..\\..\\label-studio\\media\\upload\\4\\{}", "/data/upload/4/{}", "C:\\media\\{}"])
@pytest.mark.parametrize("folder", ["", "images/", "result/images/"])
def test_file_names_of_coco_with_the_path_of_a_server_are_found_by_their_ends(
    tmp_path: Path, path: str, folder: str
) -> None:
    names = [f"cb0618f{at}-Bit {at}.png" for at in range(6)]
    images = [{"id": at, "file_name": path.format(name), "width": 96, "height": 64} for at, name in enumerate(names)]
    boxes = [
        {"id": at, "image_id": at, "category_id": at % 2, "bbox": [20.123, 10.5, 40.25, 30]} for at in range(len(names))
    ]
    document = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 0, "name": "bit"}, {"id": 1, "name": "bolt"}],
    }
    files = {f"{folder}{name}": image_bytes(seed=at, format="PNG") for at, name in enumerate(names)}
    dataset = _validated(tmp_path, files | {"result.json": json.dumps(document).encode()})
    expected = {
        f"{folder}{name}": [(("bit", "bolt")[at % 2], 20.123, 10.5, 60.373, 40.5)] for at, name in enumerate(names)
    }
    assert _boxes(dataset) == _near(expected)


SPELLINGS = (
    b"0 0.5 0.5 0.2 0.4\n1 0.25 0.25 0.1 0.1\n",
    b"\xef\xbb\xbf0.0 0.5 0.5 0.2 0.4\r\n1.0 0.25 0.25 0.1 0.1\r\n",
    b"0\t5e-1\t5.0e-01\t0.2\t4E-1\n\n1\t.25\t.25\t1e-1\t0.10\n\n",
    b"0 0.4 0.3 0.6 0.3 0.6 0.7 0.4 0.7\n1 0.25 0.25 0.1 0.1",
)


def test_all_spellings_of_a_label_give_the_same_boxes(tmp_path: Path) -> None:
    files: Files = {"data.yaml": b"train: train/images\nval: valid/images\nnames: [a, b]\n"}
    for at in range(12):
        part = "train" if at < 9 else "valid"
        files |= {f"{part}/images/{at}.jpg": image_bytes(seed=at), f"{part}/labels/{at}.txt": SPELLINGS[at % 4]}
    dataset = _validated(tmp_path, files)
    wide, high = SIZE
    boxes = [
        ("a", 0.4 * wide, 0.3 * high, 0.6 * wide, 0.7 * high),
        ("b", 0.2 * wide, 0.2 * high, 0.3 * wide, 0.3 * high),
    ]
    assert _boxes(dataset) == _near({name: boxes for name in files if name.endswith(".jpg")})
    assert [dataset.splits[f"{part}/images/{at}.jpg"] for part, at in (("train", 8), ("valid", 9))] == ["train", "val"]


def test_a_validation_part_of_background_alone_is_kept_with_a_warning(tmp_path: Path) -> None:
    files: Files = {"data.yaml": b"train: images/train\nval: images/val\nnames: [crab]\n"}
    for at, size in enumerate([(96, 64), (96, 64), (1200, 40), (12, 900), (96, 64)]):
        files[f"images/train/{at}.jpg"] = image_bytes(seed=at, size=size)
        files[f"labels/train/{at}.txt"] = b"0 0.5 0.5 0.4 0.4\n"
    dataset = _validated(tmp_path, files | {"images/val/5.jpg": image_bytes(seed=5)})
    assert dataset.splits == {**{f"train/{at}.jpg": "train" for at in range(5)}, "val/5.jpg": "val"}
    boxes = _boxes(dataset)
    assert boxes["images/val/5.jpg"] == [] and boxes["images/train/2.jpg"] == [("crab", 360, 12, 840, 28)]
    codes = {each.code: each.severity for each in dataset.findings}
    assert codes["split-val-unlabelled"] is Severity.WARNING and Severity.ERROR not in codes.values()


@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (120, 50)])
def test_boxes_stay_where_width_and_height_are_exchanged_and_after_a_repair(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    box = ("key", shape[0] - 40.0, 10.0, shape[0] - 2.0, 30.0)
    files: Files = {f"p/{at}.jpg": image_bytes(seed=at, size=shape) for at in range(6)}
    files |= {f"ann/{at}.xml": annotation(f"{at}.jpg", [box], size=(shape[1], shape[0])) for at in range(6)}
    before = _validated(tmp_path, files)
    assert [each.code for each in before.findings].count("size-wrong") == 6
    source, repaired = zip_files(tmp_path / "data.zip", files), tmp_path / "repaired.zip"
    assert run(["repair", str(source), str(repaired), "--processes", "1"]) == 0
    after = _validated_archive(tmp_path / "after", repaired)
    expected = {f"p/{at}.jpg": [("key", box[1] - 1, 9.0, box[3], 30.0)] for at in range(6)}
    assert _boxes(before) == _boxes(after) == _near(expected)
    assert "size-wrong" not in {each.code for each in after.findings}


@pytest.mark.parametrize("form", ["csv", "jsonl", "voc"])
@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_a_declared_size_of_another_scale_is_an_error_unless_boxes_fit_only_the_image(
    tmp_path: Path, form: str, factor: float
) -> None:
    declared = (round(SIZE[0] * factor), round(SIZE[1] * factor))
    boxes = {f"p/{at}.jpg": (10.0, 8.0, 40.0, 28.0) for at in range(8)}
    with pytest.raises(Rejected) as rejected:
        _validated(tmp_path, _declared(form, boxes, declared))
    scaled = [each for each in rejected.value.findings if each.code == "size-scaled"]
    assert len(scaled) == len(boxes) and all(f"{factor:g} times" in each.detail for each in scaled)
    dataset = _validated(tmp_path / "b", _declared(form, boxes, (SIZE[0] + 1, SIZE[1])))
    assert {each.code for each in dataset.findings} >= {"size-wrong"}
    if factor < 1:
        dataset = _validated(tmp_path / "c", _declared(form, boxes | {"p/0.jpg": (60.0, 30.0, 90.0, 60.0)}, declared))
        assert "size-wrong" in {each.code for each in dataset.findings} and len(dataset.images) == 8


def _declared(form: str, boxes: dict[str, tuple[float, ...]], size: tuple[int, int]) -> Files:
    """One box for each image, and the `size` that the annotation declares."""
    files: Files = {name: image_bytes(seed=at) for at, name in enumerate(boxes)}
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    records = []
    for name, (x1, y1, x2, y2) in boxes.items():
        if form == "voc":
            files[name.replace(".jpg", ".xml")] = annotation(name[2:], [("key", x1, y1, x2, y2)], size=size)
        rows.append(f"{name},{size[0]},{size[1]},key,{x1},{y1},{x2},{y2}")
        objects = {"bbox": [[x1, y1, x2 - x1, y2 - y1]], "categories": ["key"]}
        records.append(json.dumps({"file_name": name, "width": size[0], "height": size[1], "objects": objects}))
    tables = {"csv": {"boxes.csv": rows}, "jsonl": {"p/metadata.jsonl": records}}.get(form, {})
    return files | {name: "\n".join(lines).encode() for name, lines in tables.items()}


def test_different_things_on_black_take_no_image_from_the_split(tmp_path: Path) -> None:
    files: Files = {}
    for at in range(40):
        name, rng = ("kirmizi", "siirt")[at % 2], random.Random(at)
        mask = Image.new("L", (256, 192))
        across, down = rng.randrange(50, 70), rng.randrange(35, 55)
        ImageDraw.Draw(mask).ellipse((128 - across, 96 - down, 128 + across, 96 + down), fill=255)
        mask = mask.rotate(rng.randrange(180))
        nut = Image.composite(photograph(at), Image.new("RGB", (256, 192)), mask)
        files[f"{name}/{name}_{at:03}.jpg"] = encoded(nut)
    splits = list(_validated(tmp_path, files).splits.values())
    assert (splits.count("val"), splits.count("test")) == (8, 4)


def test_a_heic_file_is_named_whatever_its_extension(tmp_path: Path) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    files: Files = {f"{name}/{at}.jpg": image_bytes(seed=at) for name in ("ash", "oak") for at in range(8)}
    with pytest.raises(Rejected) as rejected:
        _validated(tmp_path, files | {"oak/IMG_4711.jpg": heic, "oak/IMG_4712.HEIC": heic})
    errors = [each for each in rejected.value.findings if each.severity is Severity.ERROR]
    assert [each.path for each in errors] == ["oak/IMG_4711.jpg", "oak/IMG_4712.HEIC"]
    assert all("HEIC" in each.detail and "JPEG" in each.detail for each in errors)


@pytest.mark.parametrize(
    ("label", "image", "kept"),
    [
        ("labels/Capture_d%C3%A9cran.txt", "images/Capture_décran.jpg", True),
        ("labels/Capture%20one.txt", "images/Capture one.jpg", True),
        ("labels/Capture_other.txt", "images/Capture one.jpg", False),
    ],
)
def test_with_on_error_skip_an_image_that_may_own_a_lost_label_is_no_background(
    tmp_path: Path, label: str, image: str, kept: bool
) -> None:
    files = labelled_yolo(24, images="images/{}.jpg", labels="labels/{}.txt", yaml=False)
    files |= {image: image_bytes(seed=99), label: b"0 0.5 0.5 0.6 0.6\n"}
    dataset = _validated(tmp_path, files, on_error="skip")
    assert (image in {each.name for each in dataset.images}) == kept
    assert all(each.boxes for each in dataset.images)


def _validated(tmp_path: Path, files: Files, **options: Any) -> ValidatedDataset:
    tmp_path.mkdir(exist_ok=True)
    return _validated_archive(tmp_path / "scratch", zip_files(tmp_path / "data.zip", files), **options)


def _validated_archive(scratch: Path, archive: Path, **options: Any) -> ValidatedDataset:
    scratch.mkdir()
    chosen = PrepareOptions.model_validate(options)
    return validate_archive(archive, scratch, chosen, processes=1, steps=StageReporter())


def _boxes(dataset: ValidatedDataset) -> Boxes:
    """By path in the archive, in pixels."""
    return {
        image.name: [(dataset.classes[box.class_id], *(edge / 1000 for edge in box[1:5])) for box in image.boxes]
        for image in dataset.images
    }


def _near(boxes: Boxes) -> Any:
    return {name: [(label, *map(_about, edges)) for label, *edges in each] for name, each in boxes.items()}


def _about(edge: Any) -> Any:
    return pytest.approx(edge, abs=0.01)
