"""Annotations that are small in a ZIP and large in memory: their findings and boxes are limited while they are read."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.domain import limits
from core.domain.findings import Finding, FindingList, count_findings
from pipeline.__main__ import run
from tests import REPOSITORY
from tests.builders.bombs import write_bomb
from tests.builders.voc import Files, image_bytes

IMAGES: Files = {f"images/{number}.jpg": image_bytes(seed=number) for number in range(3)}
LINE = b"0 .5 .5 .5 .5\n"
LISTED = b"images/0.jpg\n"
CSV_ROW = b"0.jpg,a,1,1,9,9\n"
OBJECT = b"<object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
COCO_BOX = b'{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,5,5]}'
CVAT_BOX = b'<box label="a" xtl="1" ytl="1" xbr="9" ybr="9"/>'
LABELME_SHAPE = b'{"label":"a","points":[[1,1],[9,9]],"shape_type":"rectangle"}'
REGION = b'{"value":{"x":10,"y":10,"width":40,"height":40,"rectanglelabels":["a"]}}'
CHOICE = b'{"type":"choices","value":{"choices":["a"]}}'
JSONL_LINE = b'{"file_name":"%d.jpg","objects":{"bbox":[%b],"categories":[%b]}}\n'


class Prepared(NamedTuple):
    result: dict[str, Any]
    peak_mib: float
    seconds: float


def yolo(*labels: bytes) -> Files:
    """A line for each image, except those of the first images that are given."""
    return IMAGES | {f"labels/{number}.txt": content for number, content in enumerate((*labels, *[LINE] * 3)[:3])}


def voc(*objects: bytes) -> Files:
    """An object for each image, except those of the first images that are given."""
    document = b"<annotation><size><width>64</width><height>48</height></size>%b</annotation>"
    each = (*objects, *[OBJECT] * 3)[:3]
    return IMAGES | {f"labels/{number}.xml": document % inside for number, inside in enumerate(each)}


def coco(*, images: int = 3, annotations: bytes = COCO_BOX) -> Files:
    listed = b",".join(b'{"id":%d,"file_name":"%d.jpg"}' % (number, number % 3) for number in range(images))
    content = b'{"images":[%b],"categories":[{"id":1,"name":"a"}],"annotations":[%b]}' % (listed, annotations)
    return IMAGES | {"labels.json": content}


def table(*rows: bytes) -> Files:
    return IMAGES | {"labels.csv": b"filename,class,xmin,ymin,xmax,ymax\n" + b"".join(rows)}


def cvat(of_first: bytes, *, images: int = 3) -> Files:
    entries = (b'<image name="%d.jpg">%b</image>' % (n, CVAT_BOX if n else of_first) for n in range(images))
    return IMAGES | {"labels.xml": b"<annotations>%b</annotations>" % b"".join(entries)}


def labelme(shapes: bytes) -> Files:
    documents = (b'{"imagePath":"%d.jpg","shapes":[%b]}' % (n, LABELME_SHAPE if n else shapes) for n in range(3))
    return IMAGES | {f"images/{number}.json": document for number, document in enumerate(documents)}


def json_lines(boxes: int, *, images: int = 3) -> Files:
    of_first = (b",".join([b"[1,1,5,5]"] * boxes), b",".join([b'"a"'] * boxes))
    lines = (JSONL_LINE % (n, *((b"[1,1,5,5]", b'"a"') if n else of_first)) for n in range(images))
    return IMAGES | {"labels.jsonl": b"".join(lines)}


def label_studio(results: bytes, of_others: bytes = REGION, *, images: int = 3) -> Files:
    task = b'{"data":{"image":"%d.jpg"},"annotations":[{"result":[%b]}]}'
    tasks = b",".join(task % (number % 3, of_others if number else results) for number in range(images))
    return IMAGES | {"export.json": b"[%b]" % tasks}


class Bomb(NamedTuple):
    files: Callable[[], Files]
    code: str
    count: int


BOMBS = {
    "bad lines of YOLO": Bomb(lambda: yolo(*[LINE + b"x\n" * 45_000] * 3), "class-id-unknown", 135_000),
    "boxes of YOLO": Bomb(lambda: yolo(LINE * 70_000), "boxes-too-many", 1),
    "bad objects of VOC": Bomb(lambda: voc(*[OBJECT + b"<object/>" * 40_000] * 3), "box-missing", 120_000),
    "lines of a list": Bomb(
        lambda: yolo(b"x\n") | {"train.txt": LISTED + b"q\n" * 100_000}, "split-list-unknown", 100_000
    ),
    "one image named again and again": Bomb(lambda: coco(images=15_000), "image-annotated-twice", 14_997),
    "rows of one image": Bomb(lambda: table(*[CSV_ROW] * 60_000), "boxes-too-many", 1),
}
SLOW = {"bad objects of VOC", "lines of a list", "rows of one image"}


# `ru_maxrss` of Linux includes the pages of the parent before the exec; `VmHWM` does not.
PREPARE = """
import resource, sys
from pathlib import Path
from pipeline.__main__ import run
run(["prepare", *sys.argv[1:], "--processes", "1"])
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
kept = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
print("\\npeak", *(kept or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))
"""


def prepare(tmp_path: Path, files: Files) -> Prepared:
    """In a process of its own."""
    archive, started = write_bomb(tmp_path / "data.zip", files), time.monotonic()
    command = [sys.executable, "-c", PREPARE, archive, tmp_path / "out"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY)
    result = json.loads((tmp_path / "out/result.json").read_text())
    return Prepared(result, int(ended.stdout.split()[-1]) / 1024, time.monotonic() - started)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in BOMBS])
def test_a_small_zip_takes_little_memory_and_time(tmp_path: Path, name: str) -> None:
    bomb = BOMBS[name]
    result, peak_mib, seconds = prepare(tmp_path, bomb.files())
    assert (tmp_path / "data.zip").stat().st_size < 60_000
    assert result["findings"][bomb.code]["count"] == bomb.count
    assert peak_mib < 110, "the same ZIP without such lines takes 60 MiB"
    assert seconds < 60


def rejected_for(tmp_path: Path, files: Files) -> tuple[str, str, str] | None:
    """(code, path, detail) of the limit that a set exceeds; None for one that is within all of them."""
    archive = write_bomb(tmp_path / "data.zip", files)
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    run(["prepare", str(archive), str(out), "--processes", "1"])
    found = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    beyond = [each for each in found if each["code"] in ("boxes-too-many", "entries-too-many", "too-many-classes")]
    assert len(beyond) <= 1
    return (beyond[0]["code"], beyond[0]["path"], beyond[0]["detail"]) if beyond else None


MANY_BOXES: dict[str, tuple[str, Callable[[int], Files]]] = {
    "yolo": ("labels/0.txt", lambda count: yolo(LINE * count)),
    "voc": ("labels/0.xml", lambda count: voc(OBJECT * count)),
    "coco": ("labels.json", lambda count: coco(annotations=b",".join([COCO_BOX] * count))),
    "csv": ("labels.csv", lambda count: table(*[CSV_ROW] * count)),
    "cvat": ("labels.xml", lambda count: cvat(CVAT_BOX * count)),
    "labelme": ("images/0.json", lambda count: labelme(b",".join([LABELME_SHAPE] * count))),
    "jsonl": ("labels.jsonl", json_lines),
    "label-studio": ("export.json", lambda count: label_studio(b",".join([REGION] * count))),
}


@pytest.mark.parametrize("name", MANY_BOXES)
def test_an_image_may_have_so_many_boxes_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, files = MANY_BOXES[name]
    monkeypatch.setattr(limits, "MAX_BOXES_PER_IMAGE", 5)
    assert rejected_for(tmp_path, files(5)) is None
    detail = "An image has more than 5 boxes; no more of them is read."
    assert rejected_for(tmp_path, files(6)) == ("boxes-too-many", path, detail)


@pytest.mark.parametrize("name", MANY_BOXES)
def test_a_dataset_may_have_so_many_boxes_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, files = MANY_BOXES[name]
    of_others = 0 if name in ("coco", "csv") else 2
    monkeypatch.setattr(limits, "MAX_BOXES", 5 + of_others)
    assert rejected_for(tmp_path, files(5)) is None
    found = rejected_for(tmp_path, files(6))
    assert found and found[0] == "boxes-too-many" and f"at most {limits.MAX_BOXES} are accepted" in found[2]


@pytest.mark.parametrize(
    "files",
    [
        lambda images: coco(images=images),
        lambda images: table(*(b"%d.jpg,a,1,1,9,9\n" % number for number in range(images))),
        lambda images: cvat(CVAT_BOX, images=images),
        lambda images: json_lines(1, images=images),
        lambda images: label_studio(REGION, images=images),
        lambda images: label_studio(CHOICE, CHOICE, images=images),
    ],
    ids=["coco", "csv", "cvat", "jsonl", "label-studio", "label-studio-choices"],
)
def test_a_file_may_list_so_many_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Callable[[int], Files]
) -> None:
    monkeypatch.setattr(limits, "MAX_LISTED_IMAGES", 4)
    assert rejected_for(tmp_path, files(4)) is None
    found = rejected_for(tmp_path, files(5))
    assert found and found[0] == "entries-too-many" and found[2] == "The file lists more than 4 images."


def test_a_dataset_may_have_so_many_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLASSES", 3)
    rows = [b"%d.jpg,class %d,1,1,9,9\n" % (number % 3, number) for number in range(4)]
    assert rejected_for(tmp_path, table(*rows[:3])) is None
    found = rejected_for(tmp_path, table(*rows))
    assert found is not None and found[:2] == ("too-many-classes", "")
    assert found[2].startswith("The dataset has 4 classes; at most 3 are accepted. The first are 'class 0', 'class 1'")


def test_the_findings_beyond_a_limit_are_counted_and_one_stands_for_them() -> None:
    found = FindingList((Finding.of("box-missing", "a.xml", f"Object {n}.", line=n) for n in range(5)), most=2)
    found.add("box-missing", "b.xml", "One more.", 9)
    found += [Finding.of("xml-empty", "c.xml", "The XML file is empty.")]
    assert [(each.code, each.path, each.line, each.count) for each in found] == [
        ("box-missing", "a.xml", 0, 1),
        ("box-missing", "a.xml", 1, 1),
        ("box-missing", "a.xml", 2, 4),
        ("xml-empty", "c.xml", None, 1),
    ]
    assert found[2].detail == "More findings of this kind follow, here or elsewhere; they are counted and not listed."
    assert "count" not in found[0].as_dict() and Finding.from_dict(found[2].as_dict()) == found[2]
    whole = FindingList(found, most=1)
    assert {code: each["count"] for code, each in count_findings(whole).items()} == {"box-missing": 6, "xml-empty": 1}


def test_lists_that_share_a_count_keep_so_many_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.domain.findings.MAX_FINDINGS_OF_CODE", 3)
    kept = Counter[str]()
    lists = [FindingList(most=2, shared=kept) for _ in range(3)]
    for found in lists:
        for line in range(4):
            found.add("box-missing", "a.xml", "An object has no <bndbox>.", line)
    assert [[each.count for each in found] for found in lists] == [[1, 1, 2], [1, 3], [4]]
