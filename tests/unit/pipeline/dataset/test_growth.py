"""Random histories of a dataset: no image ever changes its split, whatever is added, corrected and taken out."""

import random
from collections.abc import Iterator
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.archive.source import SourceFile
from pipeline.dataset.growth import Additions, Correction, Grown, NamedBox, Revision, grow
from pipeline.dataset.model import Box, DatasetImage
from pipeline.dataset.near_duplicates import are_near, group_near_duplicates
from pipeline.dataset.placement import Content, place
from pipeline.dataset.split import assign_splits
from pipeline.decode.phash import PHASH_BYTES
from pipeline.params.prepare import PrepareOptions

_SCENES, _STEPS = 12, 9
_FLIPPED = 3  # bits between two neighbours of a chain: at most two steps are near-duplicates
_CLASSES = tuple("qwertz")


def _phash(scene: int, step: int) -> bytes:
    """The images of a scene are a chain: each resembles its neighbours, its ends resemble nothing of each other."""
    bits = int.from_bytes(random.Random(scene).randbytes(PHASH_BYTES), "little")
    for at in range(step * _FLIPPED):
        bits ^= 1 << at
    return bits.to_bytes(PHASH_BYTES, "little")


def _image(number: int, *, label: int | None, boxes: tuple[Box, ...] = (), split: str | None = None) -> DatasetImage:
    scene, step = divmod(number, _STEPS)
    sha256, path = f"{number:064x}", f"{scene}/{step}.jpg"
    phash = None if number % 17 == 16 else _phash(scene, step)
    source = SourceFile(f"upload/{path}", "", 10, sha256)
    return DatasetImage(path, source, 40, 40, "JPEG", None, boxes, split, phash, label, annotation="annotation")


def _first(kind: str, numbers: list[int]) -> Revision:
    images = [_marked(kind, number, number % 3) for number in numbers]
    groups = group_near_duplicates((image.sha256, image.phash) for image in images)
    splits, _ = assign_splits(images, list(_CLASSES[:3]), PrepareOptions(), groups)
    images = [
        _image(n, label=i.label, boxes=i.boxes, split=splits[i.path]) for n, i in zip(numbers, images, strict=True)
    ]
    return Revision(kind, images, list(_CLASSES[:3]))


def _marked(kind: str, number: int, class_id: int, split: str | None = None) -> DatasetImage:
    if kind == "classification":
        return _image(number, label=class_id, split=split)
    return _image(number, label=None, boxes=(Box(class_id, 0, 0, 5000, 5000 + number, False),), split=split)


_numbers = st.lists(st.integers(0, _SCENES * _STEPS - 1), unique=True, max_size=25)


@st.composite
def _history(
    draw: st.DrawFn,
) -> tuple[str, list[int], list[tuple[list[tuple[int, int, str | None]], list[int], list[int]]]]:
    kind = draw(st.sampled_from(["detection", "classification"]))
    first = draw(st.lists(st.integers(0, _SCENES * _STEPS - 1), unique=True, min_size=12, max_size=30))
    steps = []
    for _ in range(5):
        parts = st.sampled_from([None, None, "train", "val", "test"])
        added = [(n, draw(st.integers(0, len(_CLASSES) - 1)), draw(parts)) for n in draw(_numbers)]
        steps.append((added, draw(_numbers), draw(_numbers)))
    return kind, first, steps


@settings(max_examples=60, deadline=None)
@given(history=_history(), seed=st.integers(0, 5))
def test_histories_of_five_revisions_keep_splits_classes_and_near_duplicates(
    history: tuple[str, list[int], list[tuple[list[tuple[int, int, str | None]], list[int], list[int]]]], seed: int
) -> None:
    kind, first, steps = history
    revision = _first(kind, first)
    ever = {image.sha256: image.given_split for image in revision.images}
    for added, removed, corrected in steps:
        before = revision
        grown = _next(before, added, removed, corrected, seed)
        revision = grown.revision
        for image in revision.images:
            assert ever.setdefault(image.sha256, image.given_split) == image.given_split
        assert revision.classes[: len(before.classes)] == before.classes
        assert len({image.path for image in revision.images}) == len({image.sha256 for image in revision.images})
        assert len(revision.images) == len({image.sha256 for image in revision.images})
        assert not list(_near_across_splits(revision.images))
        again = _next(before, list(reversed(added)), removed, corrected, seed).revision
        assert {i.path: i.given_split for i in again.images} == {i.path: i.given_split for i in revision.images}


def _next(
    before: Revision,
    added: list[tuple[int, int, str | None]],
    removed: list[int],
    corrected: list[int],
    seed: int,
) -> Grown:
    paths = [image.path for image in before.images]
    remove = [paths[number % len(paths)] for number in removed[:6]] if paths else []
    change = (
        Correction(boxes=(NamedBox("late", 0, 0, 9000, 9000),))
        if before.kind == "detection"
        else Correction(label="late")
    )
    corrections = {paths[number % len(paths)]: change for number in corrected[:2]} if paths else {}
    images = [_marked(before.kind, number, class_id, split) for number, class_id, split in added]
    additions = Additions(images, list(_CLASSES), remove)
    return grow(before, additions, corrections, fractions={"val": 0.2, "test": 0.1}, seed=seed)


def _near_across_splits(images: list[DatasetImage]) -> Iterator[tuple[str, str]]:
    for one, other in combinations(images, 2):
        if one.given_split != other.given_split and are_near(one.phash, [other.phash]):
            yield one.path, other.path


def test_an_image_between_two_splits_is_left_out_and_names_both() -> None:
    ends = [_image(0, label=0, split="train"), _image(4, label=1, split="test"), _image(80, label=0, split="val")]
    before = Revision("classification", ends, ["a", "b"])
    middle = [_image(2, label=0)]
    grown = grow(before, Additions(middle, ["a"]), {})
    assert [image.path for image in grown.revision.images] == ["0/0.jpg", "0/4.jpg", "8/8.jpg"]
    assert grown.left_out == 1
    (tied,) = [each for each in grown.findings if each.code == "extend-split-tied"]
    assert "0/0.jpg" in tied.detail and "0/4.jpg" in tied.detail


def test_near_duplicates_follow_the_split_and_free_ones_stay_together() -> None:
    fixed = {Content("a" * 64, _phash(1, 0)): "test"}
    chain = [Content(f"{n}" * 64, _phash(1, n)) for n in (1, 2)]
    other = [Content(f"{n}" * 64, _phash(2, n)) for n in (5, 6)]
    found = place(fixed, [*chain, *other])
    assert found.splits == {"1" * 64: "test", "2" * 64: "test"}
    assert len(set(found.free.values())) == 1 and set(found.free) == {"5" * 64, "6" * 64}


def test_added_images_go_where_the_fractions_of_the_whole_lack_them() -> None:
    before = _first("classification", [n * _STEPS for n in range(_SCENES)])
    images = [_image(n * _STEPS, label=n % 3) for n in range(_SCENES, 10 * _SCENES)]
    splits = [i.given_split for i in grow(before, Additions(images, _CLASSES), {}).revision.images]
    share = sum(i.given_split == "val" for i in before.images) / len(before.images)
    assert abs(splits.count("val") / len(splits) - share) < 0.03


def test_annotations_that_come_again_replace_the_earlier_ones_of_the_same_content() -> None:
    before = Revision("detection", [_marked("detection", n, 0, "train") for n in (0, 20)], ["q"])
    again = [_marked("detection", 0, 1), _marked("detection", 20, 0)]
    grown = grow(before, Additions(again, ["q", "w"]), {})
    assert [image.boxes[0].class_id for image in grown.revision.images] == [1, 0]
    assert [each.code for each in grown.findings] == [
        "extend-class-added",
        "extend-annotations-replaced",
        "extend-image-known",
    ]
