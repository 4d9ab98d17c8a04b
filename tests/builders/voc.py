"""Real little datasets, whole or broken in one known way: `voc_zip(path, broken="box_outside")`."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

Files = dict[str, bytes]
Box = tuple[str, float, float, float, float]  # class, then xmin, ymin, xmax, ymax as VOC has them

IMAGE = "images/p00.jpg"  # what every fault is done to
XML = "annotations/p00.xml"
SIZE = (96, 64)


def voc_zip(
    path: Path,
    *,
    broken: str | None = None,
    images: int = 12,
    wrap: str = "",
    junk: bool = False,
    reverse: bool = False,
) -> Path:
    """A VOC archive at `path`. `wrap` is a folder round everything; `junk` adds what systems and trainers leave."""
    files = voc_files(images=images)
    if broken:
        FAULTS[broken](files)
    return zip_files(path, files)


def zip_files(path: Path, files: Files, *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def voc_files(*, images: int = 12, classes: tuple[str, ...] = ("ball", "cube")) -> Files:
    """Each image holds one box of each class, at its own place; all images differ."""
    files: Files = {}
    for number in range(images):
        files[f"images/p{number:02d}.jpg"], files[f"annotations/p{number:02d}.xml"] = _drawn(number, classes)
    return files


@lru_cache(maxsize=4096)
def _drawn(number: int, classes: tuple[str, ...]) -> tuple[bytes, bytes]:
    """An image and its annotation. Kept: thousands of tests start from the same few."""
    rng = random.Random(number)
    boxes = [
        (name, float(x := rng.randint(1, 40)), float(y := rng.randint(1, 25)), x + 24.0 + at, y + 20.0 + at)
        for at, name in enumerate(classes)
    ]
    return image_bytes(boxes=boxes, seed=number), annotation(f"p{number:02d}.jpg", boxes)


def image_bytes(
    *,
    size: tuple[int, int] = SIZE,
    mode: str = "RGB",
    format: str = "JPEG",
    seed: int = 0,
    boxes: Iterable[Box] = (),
    **save: object,
) -> bytes:
    """An image with a seeded background and a rectangle for each box."""
    rng = random.Random(f"image {seed}")
    image = Image.new("RGB", size, (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    pen = ImageDraw.Draw(image)
    for _, x1, y1, x2, y2 in boxes:
        pen.rectangle((x1 - 1, y1 - 1, x2 - 1, y2 - 1), fill=(rng.randrange(256), rng.randrange(256), 0))
    out = io.BytesIO()
    image.convert(mode).save(out, format, **save)
    return out.getvalue()


def annotation(filename: str, boxes: Iterable[Box], *, size: tuple[int, int] | None = SIZE) -> bytes:
    lines = ["<annotation>", f"<filename>{filename}</filename>"]
    if size:
        lines += ["<size>", f"<width>{size[0]}</width>", f"<height>{size[1]}</height>", "<depth>3</depth>", "</size>"]
    for name, xmin, ymin, xmax, ymax in boxes:
        lines += ["<object>", f"<name>{name}</name>", "<difficult>0</difficult>", "<bndbox>"]
        lines += [
            f"<xmin>{xmin:g}</xmin>",
            f"<ymin>{ymin:g}</ymin>",
            f"<xmax>{xmax:g}</xmax>",
            f"<ymax>{ymax:g}</ymax>",
        ]
        lines += ["</bndbox>", "</object>"]
    return "\n".join([*lines, "</annotation>", ""]).encode()


def line_of(xml: bytes, text: str) -> int:
    """The 1-based line of the last occurrence."""
    return xml[: xml.rindex(text.encode())].count(b"\n") + 1


def turned(orientation: int, *, size: tuple[int, int] = SIZE, format: str = "JPEG") -> bytes:
    """An image with this EXIF orientation; `size` is as stored."""
    exif = Image.Exif()
    exif[274] = orientation
    return image_bytes(size=size, format=format, exif=exif)


def _boxes(*boxes: Box, size: tuple[int, int] | None = SIZE) -> Callable[[Files], None]:
    """Image 0 has these boxes besides a good one."""

    def break_it(files: Files) -> None:
        files[XML] = annotation("p00.jpg", [("ball", 5, 5, 30, 30), ("cube", 40, 5, 60, 30), *boxes], size=size)

    return break_it


def _xml(change: Callable[[bytes], bytes]) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        files[XML] = change(files[XML])

    return break_it


def _image(
    content: Callable[[], bytes], *, change: Callable[[bytes], bytes] = lambda content: content
) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        files[IMAGE] = change(content())

    return break_it


def _add(name: str, content: bytes) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        files[name] = content

    return break_it


def _drop(name: str) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        del files[name]

    return break_it


def _bomb() -> bytes:
    """A PNG whose header promises 20,000 x 20,000 pixels."""
    png = image_bytes(format="PNG")

    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


FAULTS: dict[str, Callable[[Files], None]] = {
    "box_outside": _boxes(("ball", 200, 10, 240, 30)),
    "box_mostly_outside": _boxes(("ball", 90, 10, 140, 30)),
    "box_clipped": _boxes(("ball", 60, 10, 110, 30)),
    "box_from_zero": _boxes(("ball", 0, 0, 30, 30)),
    "box_inverted": _boxes(("ball", 30, 10, 10, 30)),
    "box_zero_area": _boxes(("ball", 30, 10, 30, 30)),
    "box_duplicate": _boxes(("ball", 5, 5, 30, 30)),
    "box_tiny": _boxes(("ball", 50, 40, 50.5, 60)),
    "box_not_a_number": _boxes(("ball", float("nan"), 5, 30, 30)),
    "box_corner_twice": _xml(lambda xml: xml.replace(b"</xmin>", b"</xmin>\n<xmin>7</xmin>", 1)),
    "box_missing": _xml(lambda xml: b"box>".join(xml.rsplit(b"bndbox>", 2))),
    "name_empty": _boxes(("", 5, 5, 30, 30)),
    "name_similar": _boxes(("Ball ", 8, 8, 30, 30)),
    "name_spaces": _boxes(("ball ", 8, 8, 30, 30), ("\n\tcube\n", 48, 8, 60, 30)),
    "size_zero": _xml(lambda xml: xml.replace(b"<width>96</width>", b"<width>0</width>")),
    "size_wrong": _xml(lambda xml: xml.replace(b"<width>96</width>", b"<width>960</width>")),
    "size_negative": _xml(lambda xml: xml.replace(b"<width>96</width>", b"<width>-96</width>")),
    "filename_differs": _xml(lambda xml: xml.replace(b"p00.jpg", b"C:\\images\\other.jpg")),
    "filename_bare": _xml(lambda xml: xml.replace(b"p00.jpg", b"p00")),
    "box_several": _xml(lambda xml: xml.replace(b"</bndbox>\n</object>", b"</bndbox>\n<bndbox/>\n</object>", 1)),
    "box_elongated": _boxes(("ball", 1, 40, 96, 41)),
    "box_elongated_less": _boxes(("ball", 1, 40, 96, 42)),
    "box_whole": _boxes(("ball", 1, 1, 96, 64)),
    "name_long": _boxes(("b" * 201, 5, 5, 30, 30)),
    "flag_odd": _xml(lambda xml: xml.replace(b"<difficult>0", b"<difficult>maybe", 1)),
    "text_astray": _xml(lambda xml: xml.replace(b"<object>\n", b"<object>\nhello", 1)),
    "name_nested": _xml(lambda xml: xml.replace(b"<name>ball</name>", b"<name>ball<b/></name>", 1)),
    "width_text": _xml(lambda xml: xml.replace(b"<width>96</width>", b"<width>wide</width>")),
    "xml_latin": _xml(lambda xml: xml.replace(b"p00.jpg", b"p\xe900.jpg")),
    "xml_latin_declared": _xml(
        lambda xml: (
            b'<?xml version="1.0" encoding="ISO-8859-1"?>\n' + xml.replace(b"<name>", b"<pose>\xe9</pose><name>")
        )
    ),
    "xml_deep": _xml(lambda xml: xml.replace(b"</annotation>", b"<a>" * 40 + b"</a>" * 40 + b"</annotation>")),
    "list_unknown": _add("sets/train.txt", b"p01\nnowhere\n"),
    "mask": _add("SegmentationClass/p00.png", image_bytes(format="PNG")),
    "xml_cut": _xml(lambda xml: xml[:-20]),
    "xml_empty": _xml(lambda _: b""),
    "xml_dtd": _xml(lambda xml: b'<!DOCTYPE annotation [<!ENTITY a "b">]>\n' + xml),
    "xml_utf16": _xml(lambda xml: xml.decode().encode("utf-16")),
    "xml_bom": _xml(lambda xml: b"\xef\xbb\xbf" + xml),
    "xml_foreign": _add("annotations/pom.xml", b"<project/>\n"),
    "image_missing": _drop(IMAGE),
    "xml_missing": _drop(XML),
    "image_truncated": lambda files: files.update({IMAGE: files[IMAGE][: len(files[IMAGE]) // 2]}),
    "image_empty": _image(lambda: b""),
    "image_text": _image(lambda: b"not an image at all"),
    "image_small": _image(lambda: image_bytes(size=(96, 8))),
    "image_bomb": _image(_bomb),
    "image_png_inside": _image(lambda: image_bytes(format="PNG")),
    "image_webp_inside": _image(lambda: image_bytes(format="WEBP")),
    "image_cmyk": _image(lambda: image_bytes(mode="CMYK")),
    "image_rgba": _image(lambda: image_bytes(mode="RGBA", format="PNG")),
    "image_palette": _image(lambda: image_bytes(mode="P", format="GIF")),
    "image_deep": _image(lambda: image_bytes(mode="I;16", format="PNG")),
    "image_animated": _image(
        lambda: image_bytes(
            format="GIF", save_all=True, append_images=[Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
        )
    ),
    "image_turned": _image(lambda: turned(6, size=(64, 96))),
    "image_turned_boxes_stored": lambda files: files.update(
        {IMAGE: turned(6), XML: annotation("p00.jpg", [("ball", 60, 10, 96, 30), ("cube", 1, 1, 20, 20)])}
    ),
    "image_orientation_nonsense": _image(lambda: turned(0)),
    "image_copied": lambda files: files.update({"images/copy.jpg": files[IMAGE], "annotations/copy.xml": files[XML]}),
    "annotated_twice": lambda files: files.update({"labels/p00.xml": files[XML]}),
    "two_candidates": lambda files: files.update({"images/p00.png": image_bytes(format="PNG")}),
    "case_equal": _add("images/P00.jpg", image_bytes(seed=99)),
}

JUNK: Files = {
    "__MACOSX/images/._p00.jpg": b"\0\5\x16\7",
    ".DS_Store": b"\0\0\0\1Bud1",
    "images/Thumbs.db": b"\xd0\xcf",
    "labels/train.cache": b"pickle",
    "weights.pt": b"PK",
    "train.py": b"import os",
    "data.yaml": b"download: echo pwned",
    "README.txt": b"hello",
}
