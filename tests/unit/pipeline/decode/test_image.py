"""Images with odd bytes: what is validated is what OpenCV and Pillow read, or the words say what is odd."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.archive.source import SourceFile
from pipeline.decode.image import convert, inspect_and_convert
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.inspect_ahead import InspectAhead
from tests.builders import odd_images as odd
from tests.builders.voc import turned

JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": odd.jpeg,
    "grey": lambda: odd.jpeg(mode="L"),
    "progressive": lambda: odd.jpeg(progressive=True),
    "restart markers": lambda: odd.jpeg(restart_marker_blocks=4),
    "no subsampling": lambda: odd.jpeg(quality=95, subsampling=0, optimize=True),
}
PNG_MODES = ("RGB", "L", "P", "RGBA", "LA", "1")


def inspected(content: bytes) -> tuple[ImageFacts, bytes]:
    """Its facts, and the bytes that are written. Where there is no problem, their libraries read the same."""
    facts, png = inspect_and_convert(content)
    if facts.problem:
        assert facts.problem[1]
        return facts, b""
    written = png or content[: facts.end or None]
    assert (png is not None) == facts.convert
    pixels = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape[1::-1] == facts.upright
    with Image.open(io.BytesIO(written)) as image:
        image.verify()  # as ultralytics does
        assert image.format != "JPEG" or written.endswith(b"\xff\xd9")  # else ultralytics writes the file anew
    return facts, written


def _pixels(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("name", JPEGS)
def test_a_whole_jpeg_is_kept_as_it_is(name: str) -> None:
    content = JPEGS[name]()
    facts, written = inspected(content)
    assert written == content and not facts.odd


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("trailer", [b"\0", b"x" * 208, bytes(5000), b"\xff", b"SEFH\xff\xd8" + bytes(99)])
def test_bytes_behind_the_end_of_a_jpeg_are_left_out(name: str, trailer: bytes) -> None:
    content = JPEGS[name]()
    facts, written = inspected(content + trailer)
    assert written == content and str(len(trailer)) in facts.odd


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_written_anew(name: str, lost: int) -> None:
    content = JPEGS[name]()
    facts, written = inspected(content[:-lost])
    assert facts.rewrite and facts.odd == "no end marker"
    assert _pixels(written) == _pixels(content)


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("filling", [b"", bytes(300)])
def test_a_jpeg_that_is_cut_anywhere_is_an_error(name: str, filling: bytes) -> None:
    content = JPEGS[name]()
    markers = odd.marker_starts(content)
    cuts = {*markers[:-1], *range(3, len(content) - 24, 41), len(content) // 2}
    for cut in sorted(cuts):
        facts, _ = inspected(content[:cut] + filling)
        assert facts.problem, cut
        assert facts.problem[0] in ("image-truncated", "image-unreadable")


def test_a_jpeg_that_another_file_follows_before_its_end_is_an_error() -> None:
    content = odd.jpeg()
    facts, _ = inspected(content[: len(content) // 2] + odd.jpeg(seed=1) + b"tail")
    assert facts.problem and facts.problem[0] == "image-truncated"


@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_is_kept_as_it_is_also_with_bytes_behind_its_end(mode: str) -> None:
    content = odd.png(mode=mode)
    assert inspected(content)[1] == content
    assert inspected(content + b"x" * 30)[1] == content + b"x" * 30


@pytest.mark.parametrize("mode", PNG_MODES)
@pytest.mark.parametrize("lost", [1, 4, 8, 12])
def test_a_png_that_lacks_only_its_end_is_written_anew(mode: str, lost: int) -> None:
    content = odd.png(mode=mode)
    facts, written = inspected(content[:-lost])
    assert facts.rewrite and "IEND" in facts.odd
    assert _pixels(written) == _pixels(content)


@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_that_is_cut_anywhere_before_is_an_error(mode: str) -> None:
    content = odd.png(mode=mode)
    starts = odd.chunk_starts(content)
    for cut in (*starts[:-1], *range(1, len(content) - 13, 37)):
        facts, _ = inspected(content[:cut])
        assert facts.problem and facts.problem[0] in ("image-truncated", "image-unreadable", "image-empty"), cut


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"pHYs", b"iCCP", b"zzZz"])
def test_a_png_with_a_damaged_chunk_beside_its_pixels_is_written_anew(kind: bytes) -> None:
    content = odd.png()
    facts, written = inspected(odd.with_chunk(content, kind, b"Comment\0a", whole=False))
    assert kind.decode() in facts.odd and facts.rewrite
    assert _pixels(written) == _pixels(content)


def test_a_png_with_damaged_pixels_is_an_error_that_names_the_chunk() -> None:
    content = bytearray(odd.png())
    content[odd.chunk_starts(bytes(content))[-1] - 1] ^= 1  # the last byte of the checksum of the last IDAT
    facts, _ = inspected(bytes(content))
    assert facts.problem and facts.problem[0] == "image-unreadable" and "IDAT" in facts.problem[1]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_orientation_in_xmp_alone_is_applied_for_all_readers(orientation: int) -> None:
    facts, written = inspected(odd.with_xmp_orientation(orientation))
    assert facts.orientation == orientation and facts.rewrite and "XMP" in facts.odd
    assert _thumb(written) == pytest.approx(_thumb(convert(turned_photo(orientation))), abs=6)


def turned_photo(orientation: int) -> bytes:
    return odd.with_exif_orientation(3, orientation)


def _thumb(content: bytes) -> list[int]:
    with Image.open(io.BytesIO(content)) as image:
        return list(image.convert("L").resize((4, 4)).tobytes())


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", [1, 3, 4, 9])
def test_an_orientation_in_exif_is_read_in_one_way_whatever_its_type(orientation: int, kind: int) -> None:
    facts, written = inspected(odd.with_exif_orientation(kind, orientation))
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    expected = convert(odd.with_exif_orientation(kind, orientation))
    assert decoded.shape[1::-1] == facts.upright
    with Image.open(io.BytesIO(expected)) as image:
        assert np.abs(np.asarray(image.convert("RGB"), dtype=int) - decoded).mean() < 6


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # decoding processes ignore all warnings
def test_broken_exif_changes_nothing(exif: bytes) -> None:
    content = odd.jpeg(exif=exif) if exif else odd.jpeg()
    facts, written = inspected(content)
    assert (facts.orientation, written) == (1, content)


@pytest.mark.parametrize("format", ["WEBP", "TIFF", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_upright(format: str, orientation: int) -> None:
    facts, _ = inspected(turned(orientation, format=format))
    assert facts.upright == ((64, 96) if orientation > 4 else (96, 64))


@pytest.mark.parametrize(
    ("bits", "largest"), [(8, 200), (10, 1023), (12, 4080), (12, 2100), (14, 16_383), (16, 65_535)]
)
def test_grey_of_more_than_eight_bits_is_reduced_from_the_depth_of_its_largest_value(bits: int, largest: int) -> None:
    values = odd.deep_grey(largest)
    for format in ("PNG", "TIFF"):
        facts, written = inspected(odd.saved(Image.fromarray(values), format))
        assert (facts.bits, facts.dark) == (bits, False)
        with Image.open(io.BytesIO(written)) as image:
            assert (np.asarray(image) == values >> (bits - 8)).all()


@pytest.mark.parametrize(("bits", "largest"), [(8, 255), (10, 1023), (12, 4080), (14, 16_383), (16, 65_535)])
def test_colours_of_sixteen_bits_are_reduced_in_the_same_way(bits: int, largest: int) -> None:
    facts, written = inspected(odd.deep_rgb_png(largest))
    assert facts.bits == bits and facts.convert == (bits < 16)
    with Image.open(io.BytesIO(written)) as image:
        assert np.asarray(image.convert("RGB")).max() == largest >> (bits - 8)


def test_values_of_a_larger_depth_are_nearly_black_and_that_is_stated() -> None:
    facts, png = inspect_and_convert(odd.saved(Image.fromarray(odd.deep_grey(3000)), "TIFF"), bits=16)
    assert facts.bits == 16 and facts.dark and png


def test_numbers_that_are_not_finite_do_not_blacken_an_image() -> None:
    values = odd.deep_grey(1000).astype(np.float32) / 1000
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    facts, written = inspected(odd.saved(Image.fromarray(values), "TIFF"))
    with Image.open(io.BytesIO(written)) as image:
        assert np.asarray(image).max() == 255 and not facts.dark


@pytest.mark.parametrize("name", odd.CLOTHED)
def test_a_file_in_an_images_clothing_is_named_for_what_it_is(name: str) -> None:
    content, word = odd.CLOTHED[name]
    facts, _ = inspect_and_convert(content)
    assert facts.problem and facts.problem[0] == "image-unreadable"
    assert word in facts.problem[1], facts.problem


def test_the_depth_of_a_set_is_that_of_its_largest_value(tmp_path: Path) -> None:
    """A dark image of a 12-bit camera keeps its brightness beside the others."""
    files = [_file(tmp_path / f"{largest}.png", largest) for largest in (4080, 900, 200)]
    for each in ("converted", None):
        with InspectAhead(1, tmp_path / each if each else None) as ahead:
            ahead.add(files)
            facts = ahead.facts(files, lambda *_: None)
            assert [one.bits for one in facts] == [12, 12, 12]
            assert [one.dark for one in facts] == [False, False, True]
        if each:
            for one, largest in zip(facts, (4080, 900, 200), strict=True):
                assert one.converted
                with Image.open(io.BytesIO(one.converted.read())) as image:
                    assert np.asarray(image).max() == largest >> 4


@pytest.mark.parametrize(("hot", "bits"), [(0, 12), (3, 12), (4, 16)])
def test_some_hot_pixels_do_not_decide_the_depth(hot: int, bits: int) -> None:
    """3 of 3,072 values are less than a thousandth."""
    values = np.linspace(0, 4000, 64 * 48, dtype=np.uint16).reshape(48, 64)
    values.flat[:hot] = 65_535
    facts, png = inspect_and_convert(odd.saved(Image.fromarray(values), "PNG"))
    assert facts.bits == bits and png
    with Image.open(io.BytesIO(png)) as image:
        assert (np.asarray(image) == np.minimum(values >> (bits - 8), 255)).all()


def test_hot_pixels_do_not_decide_the_depth_of_colours() -> None:
    values = np.stack([np.linspace(0, 4000, 64 * 48, dtype=np.uint16).reshape(48, 64)] * 3, axis=2)
    values[0, :3] = 65_535
    assert inspected(odd.rgb_png_of(values))[0].bits == 12
    values[0, :4] = 65_535
    assert inspected(odd.rgb_png_of(values))[0].bits == 16


def test_the_depth_is_decided_by_the_images_of_the_set_alone(tmp_path: Path) -> None:
    files = [_file(tmp_path / f"{largest}.png", largest) for largest in (4080, 65_535)]
    with InspectAhead(1, tmp_path / "converted") as ahead:
        ahead.add(files)
        assert [one.bits for one in ahead.facts(files[:1], lambda *_: None)] == [12]


def _file(path: Path, largest: int) -> SourceFile:
    content = odd.saved(Image.fromarray(odd.deep_grey(largest)), "PNG")
    path.write_bytes(content)
    return SourceFile(path.name, str(path), len(content), "")
