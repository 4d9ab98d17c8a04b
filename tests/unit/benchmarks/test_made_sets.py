"""Sets that benchmarks make: `benchmarks/image_sets.py` and `benchmarks/revisions.py`."""

import io
import zipfile
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.image_sets import LARGE_PHOTO, PHOTO, SMALL_PHOTO, TINY, write_set
from benchmarks.revisions import size_of, write_parts

OTHER = (320, 200)


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.mark.parametrize("size", [LARGE_PHOTO, PHOTO, SMALL_PHOTO, TINY, OTHER])
def test_images_and_annotations_have_the_size(tmp_path: Path, size: tuple[int, int]) -> None:
    write_set(tmp_path / "set.zip", images=2, size=size)
    made = contents(tmp_path / "set.zip")
    for stem in ("000000", "000001"):
        assert Image.open(io.BytesIO(made[f"made/JPEGImages/{stem}.jpg"])).size == size
        annotation = made[f"made/Annotations/{stem}.xml"].decode()
        assert f"<width>{size[0]}</width>\n\t\t<height>{size[1]}</height>" in annotation


def test_images_made_at_once_are_those_made_alone_in_order(tmp_path: Path) -> None:
    write_set(tmp_path / "many.zip", images=70, size=TINY)  # more than a batch
    write_set(tmp_path / "one.zip", images=1, size=TINY)
    many, one = contents(tmp_path / "many.zip"), contents(tmp_path / "one.zip")
    assert [name for name in many if name.endswith("jpg")] == [f"made/JPEGImages/{each:06d}.jpg" for each in range(70)]
    assert len(set(many.values())) == len(many) == 140
    assert one.items() <= many.items()


def test_the_first_upload_and_what_is_added_are_the_whole(tmp_path: Path) -> None:
    first, more, later, whole = map(contents, write_parts(tmp_path, images=5, added=2, size=TINY))
    assert first | more == whole
    assert (len(first), len(more), len(later)) == (10, 4, 4)
    assert not set(later.values()) & set(whole.values())


@pytest.mark.parametrize("text", ["640", "640x", "23x24", "24x23", "-640x480", "1x2x3"])
def test_what_is_no_size_or_too_small_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="at least 24x24"):
        size_of(text)


def test_a_size_is_width_and_height() -> None:
    assert size_of("640x480") == (640, 480)
