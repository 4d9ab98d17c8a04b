"""The drawn scenes: boxes fit their shapes, and a class is an outline and nothing else."""

import itertools
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.samples.scenes import CLASSES, SIDE, Scene, draw_scenes, write_archive


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(draw_scenes(60, seed=0))


def test_the_same_seed_gives_the_same_archive_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_archive(tmp_path / name, scenes=4, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_every_image_has_an_annotation_in_voc_that_counts_from_one(tmp_path: Path) -> None:
    write_archive(tmp_path / "set.zip", scenes=12, seed=0)
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        images = [name for name in archive.namelist() if name.endswith(".jpg")]
        assert len(images) == 12
        for name in images:
            root = ElementTree.fromstring(archive.read(name.replace("JPEGImages", "Annotations").replace("jpg", "xml")))
            assert name.endswith(f"/{root.findtext('filename')}")
            boxes = [[int(side.text or "") for side in box] for box in root.iter("bndbox")]
            assert boxes
            for left, top, right, bottom in boxes:
                assert 1 <= left < right <= SIDE
                assert 1 <= top < bottom <= SIDE


def test_all_classes_are_about_equally_frequent_and_colour_does_not_depend_on_them(scenes: list[Scene]) -> None:
    names = Counter(box.name for scene in scenes for box in scene.boxes)
    assert set(names) == set(CLASSES)
    assert min(names.values()) > 0.5 * max(names.values())
    colours = {name: np.mean(_centre_colours(scenes, name), axis=0) for name in CLASSES}
    overall = np.mean([_mean_colour(scene.image) for scene in scenes], axis=0)
    for colour in colours.values():  # of 255; with one colour for each class they would differ by 100
        assert np.abs(colour - np.mean(list(colours.values()), axis=0)).max() < 45
        assert np.abs(colour - overall).max() < 90


def test_scenes_overlap_leave_the_image_and_differ_in_size(scenes: list[Scene]) -> None:
    boxes = [box for scene in scenes for box in scene.boxes]
    widths = [box.right - box.left for box in boxes]
    assert max(widths) > 1.8 * min(widths)
    assert any(box.left == 0 or box.right == SIDE - 1 for box in boxes)
    assert sum(_overlaps(scene) for scene in scenes) > 10
    assert any(box.truncated for box in boxes)


def _overlaps(scene: Scene) -> bool:
    pairs = itertools.combinations(scene.boxes, 2)
    return any(a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom for a, b in pairs)


def test_a_box_is_tight_round_its_shape() -> None:
    """A scene with one shape, drawn twice with and without it in the same grain, differs only inside the box."""
    from pipeline.samples import scenes as drawing

    rng = np.random.default_rng(7)
    plain = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    _, placed = drawing._place(rng, plain, [])
    name, mask, area = placed[0]
    box = drawing._tight_box(name, mask, area)
    assert not mask[: box.top].any()
    assert not mask[box.bottom + 1 :].any()
    assert mask[box.top].any()
    assert mask[box.bottom].any()
    assert mask[:, box.left].any()
    assert mask[:, box.right].any()


def test_shuffled_labels_keep_the_boxes_and_change_the_names(tmp_path: Path) -> None:
    write_archive(tmp_path / "true.zip", scenes=20, seed=0)
    write_archive(tmp_path / "shuffled.zip", scenes=20, seed=0, shuffle_labels=True)
    true, shuffled = _objects(tmp_path / "true.zip"), _objects(tmp_path / "shuffled.zip")
    assert [box for _, box in true] == [box for _, box in shuffled]
    same = np.mean([a == b for (a, _), (b, _) in zip(true, shuffled, strict=True)])
    assert same < 0.5  # chance is 0.25


def _objects(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    with zipfile.ZipFile(path) as archive:
        roots = [ElementTree.fromstring(archive.read(n)) for n in sorted(archive.namelist()) if n.endswith(".xml")]
    return [
        (item.findtext("name") or "", tuple(side.text or "" for side in item.find("bndbox") or []))
        for root in roots
        for item in root.iter("object")
    ]


def _centre_colours(scenes: list[Scene], name: str) -> list[tuple[int, ...]]:
    colours = []
    for scene in scenes:
        for box in scene.boxes:
            if box.name == name and not box.truncated:
                colours.append(scene.image.getpixel(((box.left + box.right) // 2, (box.top + box.bottom) // 2)))
    return colours  # type: ignore[return-value]


def _mean_colour(image: Image.Image) -> tuple[float, ...]:
    return tuple(np.asarray(image, dtype=np.float64).mean(axis=(0, 1)))
