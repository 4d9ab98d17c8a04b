"""What changed from one dataset to another: exact differences of small ones, and rules that hold for any two."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.model import SPLITS, Box
from pipeline.index.box_changes import MAX_CANDIDATES, BoxChange, box_changes
from pipeline.index.diff import IndexedDataset, write_diff
from pipeline.index.diff_summary import IMAGE_CHANGES, BoxCounts, ClassCounts, ImageCounts, SplitMove
from pipeline.index.differences import differences
from pipeline.index.read_diff import (
    ComparedDatasets,
    DiffItem,
    count_changed,
    read_all,
    read_diff,
    read_most_changed,
    read_summary,
)
from pipeline.index.schema import IndexedImage
from pipeline.index.write import write_index
from tests.builders.indexed import box, indexed_image

BALL, CUBE = box(0, 10, 10, 40, 40), box(1, 50, 5, 90, 60)
Images = Sequence[IndexedImage]


def compared(
    folder: Path, before: Images, after: Images, classes: Sequence[str], classes_after: Sequence[str] | None = None
) -> ComparedDatasets:
    sides = []
    for name, images, names in (("a", before, classes), ("b", after, classes_after or classes)):
        sides.append(IndexedDataset(folder / name, names))
        sides[-1].file.unlink(missing_ok=True)
        write_index(sorted(images, key=lambda image: image.path), sides[-1].file)
    (folder / "diff").unlink(missing_ok=True)
    found = ComparedDatasets(folder / "diff", *sides)
    write_diff(found.before, found.after, found.file)
    return found


def lines(found: ComparedDatasets) -> list[tuple[Any, ...]]:
    return [(each.item, each.change, each.path) for each in differences(found)]


def test_a_revision_of_boxes_has_exactly_these_differences(tmp_path: Path) -> None:
    before = [
        indexed_image("same.jpg", boxes=(BALL, CUBE)),
        indexed_image("gone.jpg", boxes=(BALL,)),
        indexed_image("boxes.jpg", boxes=(BALL, CUBE)),
        indexed_image("old/name.jpg", boxes=(CUBE,)),
        indexed_image("split.jpg"),
        indexed_image("bytes.jpg", b"one", boxes=(BALL,)),
    ]
    moved, cone = BALL._replace(x2=42_000), box(2, 0, 0, 9, 9)
    after = [
        before[0],
        before[2]._replace(boxes=(moved, CUBE._replace(class_id=0), cone), box_count=3),
        before[3]._replace(path="new/name.jpg"),
        before[4]._replace(split="test"),
        indexed_image("bytes.jpg", b"two", boxes=(BALL,)),
        indexed_image("more.jpg", boxes=(cone,)),
    ]
    found = compared(tmp_path, before, after, ("ball", "cube"), ("ball", "cube", "cone"))
    assert lines(found) == [
        ("class", "added", ""),
        ("box", "class changed", "boxes.jpg"),
        ("box", "moved", "boxes.jpg"),
        ("box", "added", "boxes.jpg"),
        ("image", "replaced", "bytes.jpg"),
        ("image", "removed", "gone.jpg"),
        ("image", "added", "more.jpg"),
        ("image", "moved", "new/name.jpg"),
        ("split", "changed", "split.jpg"),
    ]
    summary = read_summary(found)
    assert summary.images == ImageCounts(
        before=6, after=6, unchanged=1, added=1, removed=1, replaced=1, changed=1, moved=1, split=1
    )
    assert summary.boxes == BoxCounts(
        before=7, after=8, added=1, removed=0, changed=2, in_added_images=1, in_removed_images=1
    )
    assert summary.class_counts == ClassCounts(before=2, after=3, added=1, removed=0, renamed=0, renumbered=0)
    assert summary.split_moves == [SplitMove(before="train", after="test", images=1)]
    assert [(shift.name, shift.count_before, shift.count_after) for shift in summary.classes] == [
        *(("cone", 0, 2), ("cube", 3, 2), ("ball", 4, 4))
    ]
    # 4/7, 3/7, 0 -> 4/8, 2/8, 2/8: the shares that grew grew by 2/8
    assert summary.class_shift == pytest.approx(0.25)
    (item,) = read_diff(found, change="changed", limit=9).items
    assert {each.kinds: each.iou for each in item.boxes if each.iou} == {
        ("class changed",): 1.0,
        ("moved",): pytest.approx(30 / 32),
    }
    assert [each.path for each in read_most_changed(found, limit=2).items] == ["boxes.jpg", "bytes.jpg"]


def test_a_revision_of_labels_has_exactly_these_differences(tmp_path: Path) -> None:
    before = [indexed_image(f"{number}.jpg", label=number % 2) for number in range(6)]
    after = [before[0]._replace(label=1, path="dog/0.jpg"), *before[1:5], indexed_image("7.jpg", label=0, width=192)]
    found = compared(tmp_path, before, after, ("cat", "dog"))
    assert lines(found) == [
        ("image", "removed", "5.jpg"),
        ("image", "added", "7.jpg"),
        ("image", "moved", "dog/0.jpg"),
        ("label", "changed", "dog/0.jpg"),
    ]
    (label,) = (each for each in differences(found) if each.item == "label")
    assert (label.old, label.new) == ("cat", "dog")
    summary = read_summary(found)
    assert (summary.images.changed, summary.images.unchanged, summary.class_shift) == (1, 4, 0)
    width, _, boxes = summary.sizes
    assert width.before and width.after and (width.before.p95, width.after.p75, width.after.p95) == (96, 96, 192)
    assert (boxes.before, boxes.after) == (None, None)


def test_a_renamed_class_is_one_difference_however_its_id_moves(tmp_path: Path) -> None:
    before = [indexed_image(f"{number}.jpg", boxes=(BALL, CUBE)) for number in range(3)]
    sphere, cube = BALL._replace(class_id=2), CUBE._replace(class_id=0)
    after = [image._replace(boxes=(cube, sphere)) for image in before]
    after.append(indexed_image("new.jpg", boxes=(sphere,)))
    found = compared(tmp_path, before, after, ("ball", "cube"), ("cube", "marble", "sphere"))
    assert [(each.change, each.old, each.new) for each in differences(found) if each.item == "class"] == [
        ("added", None, "marble"),
        ("renamed", "ball", "sphere"),
        ("renumbered", {"class": "sphere", "id": 0}, {"class": "sphere", "id": 2}),
        ("renumbered", {"class": "cube", "id": 1}, {"class": "cube", "id": 0}),
    ]
    assert read_summary(found).images.changed == 0


def test_half_of_the_boxes_are_no_renaming(tmp_path: Path) -> None:
    before = [indexed_image(f"{number}.jpg", boxes=(BALL,)) for number in range(2)]
    after = [before[0], before[1]._replace(boxes=(BALL._replace(class_id=1),))]
    found = compared(tmp_path, before, after, ("ball",), ("dice", "cube"))
    counts = read_summary(found).class_counts
    assert (counts.added, counts.removed, counts.renamed) == (2, 1, 0)


def test_copies_with_the_same_path_belong_together_then_the_first_ones(tmp_path: Path) -> None:
    content = b"copied"
    before = [indexed_image(path, content) for path in ("a.jpg", "b.jpg", "d.jpg")]
    after = [indexed_image(path, content) for path in ("b.jpg", "c.jpg")]
    found = compared(tmp_path, before, after, ("ball",))
    assert lines(found) == [("image", "moved", "c.jpg"), ("image", "removed", "d.jpg")]


@pytest.mark.parametrize("seed", range(12))
def test_backwards_it_is_the_reverse_and_of_one_dataset_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    is_classified = rng.random() < 0.3
    before, after = (_images(rng, is_classified=is_classified) for _ in range(2))
    classes, classes_after = (rng.sample(("ball", "cube", "cone", "disc"), 3) for _ in range(2))
    there = compared(tmp_path, before, after, classes, classes_after)
    forwards, summary = [*read_all(there)], read_summary(there)
    back = compared(tmp_path, after, before, classes_after, classes)
    assert sorted(map(_content, map(_reversed, read_all(back)))) == sorted(map(_content, forwards))
    counts, other = summary.images, read_summary(back).images
    swapped = {"before": counts.after, "after": counts.before, "added": counts.removed, "removed": counts.added}
    assert other == counts.model_copy(update=swapped)
    assert read_summary(back).class_shift == summary.class_shift
    assert counts.before + counts.added - counts.removed == counts.after
    boxes = summary.boxes
    grown = boxes.added - boxes.removed + boxes.in_added_images - boxes.in_removed_images
    assert boxes.before + grown == boxes.after
    listed = {change: sum(change in item.changes for item in forwards) for change in IMAGE_CHANGES}
    assert listed == {change: getattr(counts, change) for change in IMAGE_CHANGES}

    nothing = compared(tmp_path, before, before, classes)
    assert [*differences(nothing)] == [] and read_summary(nothing).is_equal


def test_pages_have_every_image_once(tmp_path: Path) -> None:
    before = [indexed_image(f"{number:02d}.jpg", boxes=(BALL,)) for number in range(25)]
    after = [image._replace(boxes=(), box_count=0) if number % 2 else image for number, image in enumerate(before)]
    found = compared(tmp_path, before, [*after, indexed_image("x.jpg")], ("ball",))
    paths, end = [], -1
    while True:
        page = read_diff(found, change="changed", after=end, limit=5)
        paths += [item.path for item in page.items]
        if page.end is None:
            break
        end = page.end
    assert paths == [f"{number:02d}.jpg" for number in range(1, 25, 2)]
    assert (count_changed(found), count_changed(found, change="changed")) == (13, 12)


def test_of_several_possible_boxes_the_closest_one_is_the_same() -> None:
    far, near = box(0, 10, 10, 40, 30), box(0, 10, 10, 40, 38)
    (moved, removed) = box_changes([BALL, far], [near], (0,))
    assert (moved.before, moved.after, removed.before, removed.after) == (BALL, near, far, None)
    small = box(0, 10, 10, 40, 24)  # an IoU of 0.47
    assert box_changes([BALL], [small], (0,)) == [BoxChange(BALL, None), BoxChange(None, small)]
    (changed,) = box_changes([BALL], [BALL._replace(difficult=True, class_id=1)], (0, 1))
    assert changed.kinds == ("class changed", "difficult changed")


def test_a_crowd_of_boxes_is_compared_without_comparing_all_pairs() -> None:
    crowd = [box(0, 20 * x, 20 * y, 20 * x + 19, 20 * y + 19) for x in range(60) for y in range(60)]
    moved = [each._replace(x2=each.x2 + 500) for each in crowd]
    assert {change.kinds for change in box_changes(crowd, moved, (0,))} == {("moved",)}

    stack = [Box(0, 0, 0, 500_000 + number, 500_000, False) for number in range(320)]
    higher = [each._replace(y2=500_001) for each in stack]
    assert len(stack) ** 2 > MAX_CANDIDATES
    assert {change.kinds for change in box_changes(stack, higher, (0,))} == {("removed",), ("added",)}


def _images(rng: random.Random, *, is_classified: bool) -> list[IndexedImage]:
    """Few paths, contents and boxes, so that most are in both."""
    paths = sorted(rng.sample(range(14), rng.randrange(12)))
    return [
        indexed_image(
            f"{number}.jpg",
            bytes([rng.choice((number, number % 4))]) * 2,
            split=rng.choice(SPLITS[:2]),
            label=rng.randrange(3) if is_classified else None,
            boxes=()
            if is_classified
            else tuple(
                sorted(
                    {
                        box(rng.randrange(3), x, x, x + rng.choice((20, 22, 26)), x + 20)
                        for x in rng.choices((0, 1, 30), k=rng.randrange(5))
                    }
                )
            ),
        )
        for number in paths
    ]


def _reversed(item: DiffItem) -> DiffItem:
    turned = {"added": "removed", "removed": "added"}
    changes: Any = tuple(turned.get(change, change) for change in item.changes)
    boxes = [each._replace(before=each.after, after=each.before) for each in item.boxes]
    return item._replace(changes=changes, before=item.after, after=item.before, boxes=boxes)


def _content(item: DiffItem) -> str:
    sides = [side and (side.path, side.sha256) for side in (item.before, item.after)]
    return repr((sorted(item.changes), sides, sorted(map(repr, item.boxes))))
