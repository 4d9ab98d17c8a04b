"""Which images match the list of a frozen test set: by content, by hash, as a crop; and no others."""

import hashlib
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.frozen_images import (
    FrozenImage,
    FrozenImages,
    FrozenMatch,
    read_frozen_images,
    without_ambiguous_crops,
    write_frozen_images,
)
from pipeline.dataset.near_duplicates import MAX_BITS, MAX_LOW_BITS
from pipeline.decode.image import hash_crops, inspect
from pipeline.decode.phash import LOW_BYTES, PHASH_BYTES
from tests.builders.textures import cropped, jpeg, saved_again, scaled, texture

DATA = os.environ.get("DARKROOM_TEST_DATA")
PARTS = ((0.05, 0.05, 0.05, 0.05), (0.03, 0.03, 0.03, 0.03), (0.05, 0.0, 0.0, 0.0), (0.0125, 0.0375, 0.0375, 0.0125))


def _frozen(path: str, content: bytes) -> FrozenImage:
    hashes = hash_crops(content)
    assert hashes[:PHASH_BYTES] == inspect(content).phash
    return FrozenImage(path, hashlib.sha256(content).hexdigest(), hashes)


@pytest.mark.parametrize("change", [saved_again, scaled, *(lambda c, p=p: cropped(c, parts=p) for p in PARTS)])
def test_what_people_do_with_an_image_is_found(change: Callable[[bytes], bytes]) -> None:
    originals = {f"{seed:02d}.jpg": jpeg(texture(seed, size=(320, 240))) for seed in range(20)}
    frozen = FrozenImages([_frozen(path, content) for path, content in originals.items()], "list")
    changed = {path: change(content) for path, content in originals.items()}
    others = [jpeg(texture(seed, size=(320, 240))) for seed in range(100, 120)]
    found = frozen.matches((content.hex(), inspect(content).phash) for content in (*changed.values(), *others))
    assert {key: match.path for key, match in found.items()} == {c.hex(): path for path, c in changed.items()}


@pytest.mark.parametrize("is_one_scene", [False, True])
def test_the_buckets_find_what_comparing_all_pairs_finds(is_one_scene: bool) -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2, 256)

    def near(bits: int) -> bytes:
        changed = base.copy()
        changed[rng.choice(256, bits, replace=False)] ^= 1
        return np.packbits(changed).tobytes()

    def drawn() -> bytes:
        return near(int(rng.integers(0, 40))) if is_one_scene else rng.bytes(PHASH_BYTES)

    images = [FrozenImage(f"{n:02d}", f"t{n}", drawn() + drawn()) for n in range(30)]
    contents = [(f"u{n}", drawn() if n % 3 else images[n % 30].hashes[:PHASH_BYTES]) for n in range(60)]
    assert FrozenImages(images, "list").matches(contents) == _by_all_pairs(images, contents)


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    images = [FrozenImage("é/1.jpg", "a" * 64, b"\0" * 64), FrozenImage("flat.png", "b" * 64, b"")]
    sha256 = write_frozen_images(images, tmp_path / "list.json", fingerprint="f" * 64)
    assert read_frozen_images(tmp_path / "list.json") == FrozenImages(images, sha256)
    assert FrozenImages(images, sha256).matches([("b" * 64, None)]) == {"b" * 64: FrozenMatch("flat.png", None)}
    (tmp_path / "list.json").write_text('{"schema": "another", "images": []}')
    with pytest.raises(ValueError, match="schema"):
        read_frozen_images(tmp_path / "list.json")


def test_a_crop_that_resembles_a_known_other_image_is_no_match_and_all_else_stays() -> None:
    contents = [jpeg(texture(seed, size=(320, 240))) for seed in range(5)]
    images = [_frozen(f"{number}.jpg", content) for number, content in enumerate(contents)]
    other = inspect(cropped(contents[0], parts=PARTS[0])).phash
    assert other is not None and FrozenImages(images, "").matches([("train", other)])["train"].path == "0.jpg"
    listed = without_ambiguous_crops([*images, FrozenImage("flat.png", "f" * 64, b"")], [other])
    assert FrozenImages(listed, "").matches([("train", other)]) == {}
    assert listed[1:] == [*images[1:], FrozenImage("flat.png", "f" * 64, b"")]
    assert listed[0].hashes[:PHASH_BYTES] == images[0].hashes[:PHASH_BYTES]
    assert 0 < len(listed[0].hashes) < len(images[0].hashes)
    assert without_ambiguous_crops(images, []) == images


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="set DARKROOM_TEST_DATA to a folder with data/*.zip")
@pytest.mark.parametrize("name", ["nuts-voc", "raccoon-voc", "signdigits-folders"])
def test_crops_match_no_other_image_of_the_real_sets(name: str) -> None:
    with zipfile.ZipFile(Path(str(DATA), "data", f"{name}.zip")) as archive:
        names = sorted(each for each in archive.namelist() if each.lower().endswith((".jpg", ".jpeg", ".png")))
        contents = {each: archive.read(each) for each in names}
    random.Random(0).shuffle(names)
    held_out, rest = sorted(names[: len(names) // 5]), names[len(names) // 5 :]
    images = [_frozen(each, contents[each]) for each in held_out]
    others = [(hashlib.sha256(contents[each]).hexdigest(), inspect(contents[each]).phash) for each in rest]
    plain = [FrozenImage(each.path, each.sha256, each.hashes[:PHASH_BYTES]) for each in images]
    assert set(FrozenImages(images, "").matches(others)) == set(FrozenImages(plain, "").matches(others))


def _by_all_pairs(images: list[FrozenImage], contents: list[tuple[str, bytes]]) -> dict[str, FrozenMatch]:
    found = {}
    for sha256, phash in contents:
        matches = [
            (_bits(phash, each), image.path)
            for image in images
            for each in (image.hashes[:PHASH_BYTES], image.hashes[PHASH_BYTES:])
            if _bits(phash, each) <= MAX_BITS and _bits(phash[:LOW_BYTES], each[:LOW_BYTES]) <= MAX_LOW_BITS
        ]
        if matches:
            bits, path = min(matches)
            found[sha256] = FrozenMatch(path, bits)
    return found


def _bits(first: bytes, second: bytes) -> int:
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count()
