"""Which image an annotation belongs to, over generated arrangements of folders and names."""

import random
import time

import pytest

from pipeline.archive.source import SourceFile
from pipeline.formats.candidates import Reference
from pipeline.formats.matching import match
from pipeline.formats.pairs import Pairs, pair
from pipeline.formats.voc_xml import VocAnnotation

# (folder of images, folder of their annotations) of sets whose file names are all equal.
NEIGHBOURS = [
    ("images", "labels"),
    ("augmented_images", "augmented_labels"),
    ("AugJPEGImages", "AugAnnotations"),
    ("trainimages", "trainlabels"),
    ("images2", "labels2"),
    ("some/folder", "some/folder"),
    ("another/images", "another/images"),
    ("third/images", "third/labels"),
    ("images/night", "labels/night"),
    ("VOC2007/JPEGImages", "VOC2007/Annotations"),
    ("VOC2012/JPEGImages", "VOC2012/Annotations"),
    ("cam 1/frames", "cam 1/annots/xml"),
]


def _file(name: str) -> SourceFile:
    return SourceFile(name, "", 1, "")


def _pair(images: list[str], annotations: dict[str, str]) -> Pairs[VocAnnotation]:
    """`annotations`: name -> file name that it states."""
    stated = [VocAnnotation(_file(name), image_name=image) for name, image in annotations.items()]
    return pair(stated, [_file(name) for name in images])


def _of(pairs: Pairs[VocAnnotation]) -> dict[str, str]:
    return {name: image.name for name, image in pairs.of.items()}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("states", [False, True])
def test_equal_names_in_any_folders_stay_with_their_own(seed: int, states: bool) -> None:
    rng = random.Random(seed)
    folders = rng.sample(NEIGHBOURS, 4)
    expected = {f"{labels}/{at}.xml": f"{images}/{at}.jpg" for images, labels in folders for at in range(4)}
    names = list(expected)
    rng.shuffle(names)
    pairs = _pair(sorted(expected.values(), key=lambda _: rng.random()), dict.fromkeys(names, "") if not states else {
        name: expected[name].rpartition("/")[2] for name in names
    })  # fmt: skip
    assert _of(pairs) == expected
    assert not (pairs.lost or pairs.ambiguous or pairs.twice)


@pytest.mark.parametrize("seed", range(20))
def test_an_annotation_whose_image_is_missing_takes_no_other_of_its_name(seed: int) -> None:
    rng = random.Random(seed)
    folders = rng.sample(NEIGHBOURS, 3)
    expected = {f"{labels}/{at}.xml": f"{images}/{at}.jpg" for images, labels in folders for at in range(4)}
    lost, unlabelled = f"{folders[0][1]}/3.xml", f"{folders[1][1]}/3.xml"
    present = [image for name, image in expected.items() if name != lost]
    del expected[unlabelled]
    pairs = _pair(present, dict.fromkeys(expected, ""))
    del expected[lost]
    assert _of(pairs) == expected
    assert [annotation.file.name for annotation in pairs.lost] == [lost]


def test_an_exact_file_name_decides_before_nearness() -> None:
    images = [f"pets/images/{at}.jpg" for at in range(3)] + [f"pets/annotations/trimaps/{at}.png" for at in range(3)]
    pairs = _pair(images, {f"pets/annotations/xmls/{at}.xml": f"{at}.jpg" for at in range(3)})
    assert _of(pairs) == {f"pets/annotations/xmls/{at}.xml": f"pets/images/{at}.jpg" for at in range(3)}


def test_a_stated_name_that_contradicts_the_own_name_is_ambiguous() -> None:
    images = [f"images/{at}.jpg" for at in range(4)]
    pairs = _pair(images, {f"labels/{at}.xml": f"{(at + 1) % 4}.jpg" for at in range(4)})
    assert not pairs.of
    assert [names for _, names in pairs.ambiguous] == [
        [f"images/{(at + 1) % 4}.jpg", f"images/{at}.jpg"] for at in range(4)
    ]


def test_a_name_that_all_state_is_that_of_its_own_annotation() -> None:
    pairs = _pair([f"{at}.jpg" for at in range(4)], {f"{at}.xml": "2.jpg" for at in range(4)})
    assert _of(pairs) == {f"{at}.xml": f"{at}.jpg" for at in range(4)}


@pytest.mark.parametrize(
    ("image", "annotation", "stated"),
    [
        ("images/K\u00e4se 1.jpg", "labels/Ka\u0308se 1.xml", ""),
        ("images/K\u00e4se 1.jpg", "labels/1.xml", "Ka\u0308se%201.jpg"),
        ("images/a%20b.jpg", "labels/a b.xml", ""),
        ("images/a b.jpg", "labels/a%20b.xml", "a b.jpg"),
        ("images/100%.jpg", "labels/100%.xml", "100%.jpg"),
        ("images/a.jpg", "labels/a.jpg.xml", ""),
        ("images/a.b.jpg", "labels/a.b.xml", ""),
        ("images/photo.png", "labels/1.xml", "photo.jpg"),
        ("images/photo.png", "labels/1.xml", "photo"),
    ],
)
def test_names_compare_after_nfc_and_percent_decoding(image: str, annotation: str, stated: str) -> None:
    assert _of(_pair([image, "images/other.jpg"], {annotation: stated})) == {annotation: image}


@pytest.mark.parametrize("prefix", ["", "./", "/home/kim/", "C:\\sets\\", "..\\..\\media\\", "https%3A//host/"])
def test_the_longest_common_end_of_paths_decides(prefix: str) -> None:
    names = [f"set/cam{cam}/images/{at}.jpg" for cam in range(3) for at in range(3)]
    references = [Reference("a.json", ".", stated=f"{prefix}{name.partition('/')[2]}", listed=True) for name in names]
    found = match(len(names), references.__getitem__, [_file(name) for name in reversed(names)])
    assert [found.image_of[at].name for at in range(len(names))] == names


@pytest.mark.slow
def test_a_hundred_thousand_annotations_are_paired_in_seconds() -> None:
    """In a thousand folders, with the same hundred names in each."""
    names = [(folder, at) for folder in range(1000) for at in range(100)]
    annotations = [VocAnnotation(_file(f"s{folder}/labels/{at}.xml")) for folder, at in names]
    images = [_file(f"s{folder}/images/{at}.jpg") for folder, at in names]
    started = time.process_time()
    assert len(pair(annotations, images).of) == 100_000
    assert time.process_time() - started < 20
