"""The real datasets of DARKROOM_TEST_DATA with faults put into them, each with the place where it must be found."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from tests.builders.voc import Files, line_of

Found = tuple[str, str, int | None]  # code, path, line


@dataclass
class BrokenSet:
    """`seeded`: every finding that must be reported; `lost`: images that cannot be used as they are.

    `beyond`: images that no repair can fix.
    """

    files: Files
    images: int
    seeded: list[Found] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    beyond: set[str] = field(default_factory=set)

    def write(self, path: Path) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return path

    def image(self, name: str, code: str, change: Callable[[bytes], bytes], *, lost: bool) -> None:
        self.files[name] = change(self.files[name])
        self._note(code, name, None, image=name if lost else None, beyond=lost)

    def xml(
        self, name: str, code: str, change: Callable[[bytes], bytes], *, at: str | None, lost: str = "", beyond: bool
    ) -> None:
        """`at`: text on the line of the finding; `lost`: the image that cannot be used for it."""
        before = self.files[name]
        self.files[name] = change(before)
        assert self.files[name] != before, (name, code)
        line = line_of(self.files[name], at) if at else None
        self._note(code, name, line, image=lost or None, beyond=beyond)

    def drop(self, name: str, code: str, path: str, *, image: bool) -> None:
        del self.files[name]
        self.images -= image
        self.seeded.append((code, path, None))

    def add(self, name: str, content: bytes, code: str) -> None:
        self.files[name] = content
        self.seeded.append((code, name, None))

    def _note(self, code: str, path: str, line: int | None, *, image: str | None, beyond: bool) -> None:
        self.seeded.append((code, path, line))
        if image:
            self.lost.add(image)
        if image and beyond:
            self.beyond.add(image)


def broken_raccoons(data: Path) -> BrokenSet:
    """200 images beside 200 annotations, in folders of their own."""
    made = BrokenSet(_files(data / "raccoon-voc.zip"), 200)

    def names(number: int) -> tuple[str, str]:
        return f"raccoon/annotations/raccoon-{number}.xml", f"raccoon/images/raccoon-{number}.jpg"

    xml, jpg = names(10)
    made.image(jpg, "image-truncated", _half, lost=True)
    xml, jpg = names(11)
    made.image(jpg, "image-empty", lambda _: b"", lost=True)
    xml, jpg = names(14)
    made.image(jpg, "image-unreadable", lambda _: b"<html>not found</html>", lost=True)
    xml, jpg = names(15)
    made.image(jpg, "image-extension", _as_png, lost=False)
    xml, jpg = names(16)
    moved = _corner("xmin", lambda x: x + 5000, on_commit=_corner("xmax", lambda x: x + 5000))
    made.xml(xml, "box-outside", moved, at="<bndbox>", lost=jpg, beyond=True)
    xml, jpg = names(18)
    made.xml(
        xml,
        "box-clipped",
        _corner("xmin", lambda _: 5, on_commit=_corner("xmax", lambda _: _wide(made.files[jpg]) + 20)),
        at="<bndbox>",
        beyond=False,
    )
    xml, jpg = names(19)
    made.xml(
        xml,
        "box-inverted",
        _corner("xmin", lambda _: 182, on_commit=_corner("xmax", lambda _: 87)),
        at="<bndbox>",
        lost=jpg,
        beyond=False,
    )
    xml, jpg = names(20)
    made.xml(xml, "class-names-similar", _sub("<name>raccoon</name>", "<name>Raccoon </name>"), at=None, beyond=False)
    made.seeded[-1] = ("class-names-similar", "", None)
    xml, jpg = names(22)
    made.xml(xml, "size-missing", _sub(r"<width>\d+<", "<width>0<"), at="<size>", beyond=False)
    xml, jpg = names(25)
    made.xml(xml, "xml-invalid", _sub("</annotation>", "</annotations>"), at="</annotations>", lost=jpg, beyond=True)
    xml, jpg = names(26)
    entity = '<!DOCTYPE annotation [<!ENTITY a "b">]>\n<annotation'
    made.xml(xml, "xml-dtd", _sub("^<annotation", entity), at="<!DOCTYPE", lost=jpg, beyond=True)
    xml, jpg = names(28)
    made.xml(xml, "class-name-empty", _sub("<name>raccoon<", "<name><"), at="<object>", lost=jpg, beyond=True)
    xml, jpg = names(30)
    made.drop(jpg, "image-missing", xml, image=True)
    xml, jpg = names(31)
    unlabelled = "raccoon/images/Raccoon-32.jpg"
    made.drop(xml, "image-unlabelled", unlabelled, image=False)  # one finding for both, at the first of them
    made.add(unlabelled, made.files[names(33)[1]], "names-differ-in-case")
    made.seeded[-1] = ("names-differ-in-case", names(32)[1], None)
    for name in (jpg, unlabelled):  # either may own the annotation whose image is missing: no background
        made.lost.add(name)
        made.beyond.add(name)
    made.images += 1
    return made


def broken_nuts(data: Path) -> BrokenSet:
    """18 large photographs with their annotations beside them, in train/ and test/: one may be lost to `skip`."""
    made = BrokenSet(_files(data / "nuts-voc.zip"), 18)
    folder = "nuts/images/train"
    made.xml(
        f"{folder}/0.xml",
        "box-inverted",
        _corner("ymin", lambda _: 500, on_commit=_corner("ymax", lambda _: 100)),
        at=None,
        lost=f"{folder}/0.jpg",
        beyond=False,
    )
    first = made.files[f"{folder}/0.xml"]
    made.seeded[-1] = ("box-inverted", f"{folder}/0.xml", first[: first.index(b"<bndbox>")].count(b"\n") + 1)
    made.image(f"{folder}/1.jpg", "image-extension", _as_png, lost=False)
    made.xml(f"{folder}/2.xml", "size-missing", _sub(r"<size>.*?</size>", ""), at=None, beyond=False)
    made.xml(
        f"{folder}/3.xml",
        "filename-differs",
        _sub("<filename>[^<]*<", r"<filename>C:\\\\nuts\\\\other.jpg<"),
        at=None,
        beyond=False,
    )
    return made


def broken_digits(data: Path) -> BrokenSet:
    """2,062 images in folders of their classes, all with an upper-case suffix."""
    made = BrokenSet(_files(data / "signdigits-folders.zip"), 2062)
    first = {digit: next(name for name in made.files if name.startswith(f"signdigits/{digit}/")) for digit in range(10)}
    made.image(first[0], "image-truncated", _half, lost=True)
    made.image(first[1], "image-empty", lambda _: b"", lost=True)
    made.image(first[2], "image-unreadable", lambda _: b"<html>not found</html>", lost=True)
    made.image(first[3], "image-extension", _as_png, lost=False)
    made.image(first[4], "image-too-small", lambda _: _saved(Image.new("RGB", (4, 4)), "JPEG"), lost=True)
    made.add("signdigits/5/copy.JPG", made.files[first[5]], "image-duplicate")
    made.seeded[-1] = ("image-duplicate", max("signdigits/5/copy.JPG", first[5]), None)
    made.images += 1
    return made


def _files(archive: Path) -> Files:
    with zipfile.ZipFile(archive) as opened:
        return {entry.filename: opened.read(entry) for entry in opened.infolist() if not entry.is_dir()}


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _as_png(content: bytes) -> bytes:
    return _saved(Image.open(io.BytesIO(content)), "PNG")


def _saved(image: Image.Image, format: str) -> bytes:
    out = io.BytesIO()
    image.save(out, format)
    return out.getvalue()


def _wide(content: bytes) -> int:
    return Image.open(io.BytesIO(content)).size[0]


def _sub(pattern: str, text: str) -> Callable[[bytes], bytes]:
    return lambda content: re.sub(pattern, text, content.decode(), count=1, flags=re.DOTALL).encode()


def _corner(
    name: str, value: Callable[[int], int], *, on_commit: Callable[[bytes], bytes] = lambda content: content
) -> Callable[[bytes], bytes]:
    """Another number in the first <xmin>, say."""

    def change(content: bytes) -> bytes:
        number = rf"<{name}>(\d+)</{name}>"
        text = re.sub(number, lambda match: f"<{name}>{value(int(match[1]))}</{name}>", content.decode(), count=1)
        return on_commit(text.encode())

    return change
