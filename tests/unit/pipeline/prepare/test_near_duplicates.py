"""Near-duplicates are found, stay in one split, and are reported where a given split divides them."""

import io
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pipeline.dataset.near_duplicates import MAX_BITS, MAX_LOW_BITS, group_near_duplicates
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.image import inspect
from pipeline.decode.phash import phash_of
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.metadata import describe
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.voc import Files, annotation, zip_files


def photograph(seed: int, size: tuple[int, int] = (256, 192)) -> Image.Image:
    """Blurred shapes: texture at every scale, as a camera's image has."""
    rng = random.Random(f"photograph {seed}")
    image = Image.new("RGB", size, (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, r = rng.randrange(size[0]), rng.randrange(size[1]), rng.randrange(4, 60)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    return image.filter(ImageFilter.GaussianBlur(1))


def encoded(image: Image.Image, format: str = "JPEG", **save: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **save)
    return out.getvalue()


Alter = Callable[[Image.Image], bytes]
ALTERED: dict[str, Alter] = {
    "saved again": lambda image: encoded(image, quality=40),
    "another format": lambda image: encoded(image, "PNG"),
    "JPEG 2000": lambda image: encoded(image, "JPEG2000"),
    "AVIF": lambda image: encoded(image, "AVIF"),
    "PPM": lambda image: encoded(image, "PPM"),
    "half the size": lambda image: encoded(image.resize((image.width // 2, image.height // 2))),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    "less contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(0.8)),
    "blurred": lambda image: encoded(image.filter(ImageFilter.GaussianBlur(2))),
    "grey": lambda image: encoded(image.convert("L")),
    "turned back by its EXIF": lambda image: encoded(image.transpose(Image.Transpose.ROTATE_90), exif=_exif(6)),
    "16 bits": lambda image: encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256), "PNG"),
}


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def phash(content: bytes) -> bytes | None:
    return inspect(content).phash


@pytest.mark.parametrize("alter", ALTERED)
def test_an_image_altered_a_little_is_a_near_duplicate(alter: str) -> None:
    phashes: dict[str, bytes | None] = {}
    for seed in range(8):
        phashes[f"{seed} a"] = phash(encoded(photograph(seed), quality=95))
        phashes[f"{seed} b"] = phash(ALTERED[alter](photograph(seed)))
    groups = group_near_duplicates(phashes.items())
    assert {name: groups[name] for name in phashes} == {name: f"{name[0]} a" for name in phashes}


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_perceptual_hash_is_that_of_the_upright_image(orientation: int) -> None:
    stored = photograph(1, (200, 200)).convert("L")
    stored.getexif()[274] = orientation
    upright = ImageOps.exif_transpose(stored)
    phashes = {"stored": phash_of(stored, orientation), "upright": phash_of(upright)}
    assert set(group_near_duplicates(phashes.items()).values()) == {"stored"}


def test_a_flat_image_has_no_perceptual_hash() -> None:
    phashes = {colour: phash_of(Image.new("RGB", (64, 64), colour)) for colour in ("red", "blue")}
    assert phashes == {"red": None, "blue": None}
    groups = group_near_duplicates(phashes.items())
    assert groups["red"] == "red" and groups["blue"] == "blue"


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_is_that_of_the_library(seed: int) -> None:
    image = photograph(seed).convert("L")
    theirs = imagehash.phash(image, hash_size=16, highfreq_factor=4).hash
    low = np.zeros((16, 16), bool)
    low[:8, :8] = True
    ours = np.unpackbits(np.frombuffer(phash_of(image) or b"", np.uint8)).astype(bool)
    # They resize in one step and sum in floats: a coefficient beside the median may fall to the other side.
    assert (ours != np.concatenate([theirs[low], theirs[~low]])).sum() <= 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60))
def test_the_index_finds_what_comparing_all_pairs_finds(seed: int, count: int) -> None:
    rng = random.Random(seed)
    phashes = {str(number): _near(rng, rng.randbytes(32), 0) for number in range(count)}
    for number in range(count):
        phashes[f"{number} again"] = _near(rng, phashes[str(rng.randrange(count))], rng.randrange(60))
    groups = group_near_duplicates(phashes.items())
    assert {name: groups[name] for name in phashes} == {name: _smallest_by_hand(name, phashes) for name in phashes}
    assert groups == group_near_duplicates(reversed(phashes.items()))


def _near(rng: random.Random, phash: bytes, bits: int) -> bytes:
    changed = int.from_bytes(phash)
    for bit in rng.sample(range(256), bits):
        changed ^= 1 << bit
    return changed.to_bytes(32)


def _smallest_by_hand(name: str, phashes: dict[str, bytes]) -> str:
    reached, todo = {name}, [name]
    while todo:
        here = phashes[todo.pop()]
        for other, there in phashes.items():
            distance = int.from_bytes(here) ^ int.from_bytes(there)
            near = (distance >> 192).bit_count() <= MAX_LOW_BITS and distance.bit_count() <= MAX_BITS
            if near and other not in reached:
                reached.add(other)
                todo.append(other)
    return min(reached)


def _series(count: int, each: int) -> Files:
    """`count` images, each saved `each` times at another quality, one box on each."""
    files: Files = {}
    for number in range(count):
        for version in range(each):
            name = f"{version}-{number:02d}"
            files[f"images/{name}.jpg"] = encoded(photograph(number), quality=90 - 12 * version)
            files[f"annotations/{name}.xml"] = annotation(f"{name}.jpg", [("thing", 5, 5, 60, 60)], size=(256, 192))
    return files


def _validated(tmp_path: Path, files: Files, **options: Any) -> ValidatedDataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return validate_archive(archive, into, PrepareOptions(**options), processes=1, steps=StageReporter())


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_never_straddle_a_split_that_we_make(tmp_path: Path, seed: int) -> None:
    dataset = _validated(tmp_path, _series(12, 4), seed=seed)
    homes: dict[str, set[str]] = defaultdict(set)
    for path, split in dataset.splits.items():
        homes[path.partition("-")[2]].add(split)
    assert all(len(found) == 1 for found in homes.values())
    assert {split for found in homes.values() for split in found} == {"train", "val", "test"}
    codes = [finding.code for finding in dataset.findings]
    assert codes == ["image-near-duplicate"] * 36
    described = describe(dataset, PrepareOptions().model_dump(), job_id=None, source={}, times={})["near_duplicates"]
    counted = {name: described[name] for name in ("groups", "images", "largest", "groups_across_splits")}
    assert counted == {"groups": 12, "images": 48, "largest": 4, "groups_across_splits": 0}
    assert described["named"][0]["paths"] == ["0-00.jpg", "1-00.jpg", "2-00.jpg", "3-00.jpg"]


def test_a_given_split_that_divides_near_duplicates_is_kept_and_reported(tmp_path: Path) -> None:
    files = _series(4, 2)
    train = [f"0-{number:02d}" for number in range(4)] + ["1-03"]
    lists = {"train": train, "val": ["1-00"], "test": ["1-01", "1-02"]}
    files |= {f"ImageSets/Main/{split}.txt": "\n".join(names).encode() for split, names in lists.items()}
    dataset = _validated(tmp_path, files)
    leaks = [finding for finding in dataset.findings if finding.code == "split-leak-near"]
    assert [(leak.severity, leak.path) for leak in leaks] == [
        ("warning", f"images/1-{number:02d}.jpg") for number in (0, 1, 2)
    ]
    assert leaks[0].detail.startswith("This image of val looks almost the same as images/0-00.jpg in train: ")
    assert dataset.splits["1-00.jpg"] == "val"
    again = _validated(tmp_path, files, split="remake")
    assert not [finding for finding in again.findings if finding.code.startswith("split-leak")]


def test_a_set_of_one_image_in_many_versions_leaves_nothing_to_validate_on(tmp_path: Path) -> None:
    from pipeline.archive.source import Rejected

    with pytest.raises(Rejected) as rejected:
        _validated(tmp_path, _series(1, 6))
    (error,) = (finding for finding in rejected.value.findings if finding.severity == "error")
    assert error.code == "split-without-val" and "6 images form 1 group." in error.detail


def test_a_part_made_small_by_a_large_group_is_reported(tmp_path: Path) -> None:
    files = _series(3, 1) | {
        f"images/series-{number}.jpg": encoded(photograph(9), quality=50 + number) for number in range(30)
    }
    dataset = _validated(tmp_path, files, test_fraction=0.3, background="unlabelled")
    assert "split-uneven" in {finding.code for finding in dataset.findings}
