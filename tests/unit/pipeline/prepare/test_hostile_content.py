"""Hostile XML, images and files for trainers, each in a valid archive: a finding, and nothing else."""

import io
import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.domain import limits
from pipeline.__main__ import run
from pipeline.archive.extract import can_be_data
from pipeline.decode import image as images
from tests.builders import hostile
from tests.builders.voc import IMAGE, XML, Files, image_bytes, voc_files, zip_files

GOOD = voc_files()[XML].decode()


def prepared(tmp_path: Path, files: Files) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Through the command line, as the worker does it: the result and the findings."""
    archive = zip_files(tmp_path / "data.zip", files, compression=0)  # deflated, the ratio alone would refuse some
    status = run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1"])
    findings = [json.loads(line) for line in (tmp_path / "out/findings.jsonl").read_text().splitlines()]
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result, findings


def doctype(inside: str, *, name: str = "&a;") -> str:
    return f"<!DOCTYPE annotation [{inside}]>\n{GOOD.replace('ball', name)}"


def laughs() -> str:
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    return doctype(entities, name="&a11;")


DTD: dict[str, Callable[[], bytes]] = {
    "billion laughs": lambda: laughs().encode(),
    "quadratic blow-up": lambda: doctype(f'<!ENTITY a "{"x" * 100_000}">', name="&a;" * 1000).encode(),
    "external entity": lambda: doctype('<!ENTITY a SYSTEM "file:///etc/passwd">').encode(),
    "external entity over HTTP": lambda: doctype('<!ENTITY a SYSTEM "http://127.0.0.1:1/x">').encode(),
    "parameter entity": lambda: doctype('<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;').encode(),
    "external DTD": lambda: f'<!DOCTYPE annotation SYSTEM "http://127.0.0.1:1/x.dtd">\n{GOOD}'.encode(),
    "bare DTD": lambda: f"<!DOCTYPE annotation>\n{GOOD}".encode(),
    "DTD in UTF-16": lambda: laughs().encode("utf-16"),
    "DTD behind a BOM": lambda: b"\xef\xbb\xbf" + laughs().encode(),
}


@pytest.mark.parametrize("attack", DTD)
def test_an_xml_with_a_dtd_is_an_error_and_is_never_expanded(tmp_path: Path, attack: str) -> None:
    result, findings = prepared(tmp_path, voc_files() | {XML: DTD[attack]()})
    assert result["outcome"] == "rejected"
    errors = {(finding["code"], finding["path"]) for finding in findings if finding["severity"] == "error"}
    # In UTF-16 it is the parser that meets it, and it may stop at the loop of entities.
    assert errors == {("xml-dtd", XML)} or ("UTF-16" in attack and errors == {("xml-invalid", XML)})
    assert "root:" not in json.dumps(findings)


def deep(levels: int) -> bytes:
    inside = "<part>" * (levels - 1) + "</part>" * (levels - 1)
    return GOOD.replace("</annotation>", f"{inside}</annotation>").encode()


def test_xml_may_be_so_deep_and_no_deeper(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir(), (tmp_path / "c").mkdir()
    assert prepared(tmp_path / "a", voc_files() | {XML: deep(limits.MAX_XML_DEPTH)})[0]["outcome"] == "ready"
    result, findings = prepared(tmp_path / "b", voc_files() | {XML: deep(limits.MAX_XML_DEPTH + 1)})
    assert (result["outcome"], findings[0]["code"], findings[0]["path"]) == ("rejected", "xml-too-deep", XML)
    result, findings = prepared(tmp_path / "c", voc_files() | {XML: deep(100_000)})
    assert result["outcome"] == "rejected" and findings[0]["code"] in ("xml-too-deep", "xml-invalid")


def test_xml_may_be_so_large_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    room = limits.MAX_XML_BYTES - len(GOOD.encode())
    padded = (GOOD + " " * room).encode()
    assert prepared(tmp_path / "a", voc_files() | {XML: padded})[0]["outcome"] == "ready"
    result, findings = prepared(tmp_path / "b", voc_files() | {XML: padded + b" "})
    assert (result["outcome"], findings[0]["code"]) == ("rejected", "xml-too-large")


def test_inclusions_and_style_sheets_are_text_like_any_other(tmp_path: Path) -> None:
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    sheet = '<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:1/x.xsl"?>\n'
    result, findings = prepared(
        tmp_path, voc_files() | {XML: (sheet + GOOD.replace("</annotation>", f"{include}</annotation>")).encode()}
    )
    assert result["outcome"] == "ready"
    written = b"".join(path.read_bytes() for path in (tmp_path / "out/tree").rglob("*") if path.is_file())
    assert b"root:" not in written and "root:" not in json.dumps(findings)


@hostile.ALL_DOCUMENTS
def test_every_hostile_xml_is_refused_or_left_out(
    tmp_path: Path, make_documents: Callable[[], dict[str, bytes]]
) -> None:
    documents = make_documents()
    assert len(documents) >= 10
    for name, content in documents.items():
        folder = tmp_path / name
        folder.mkdir()
        _, findings = prepared(folder, voc_files(images=3) | {XML: content})
        codes = {finding["code"] for finding in findings if finding["path"] == XML}
        assert codes & {"xml-dtd", "xml-not-voc", "xml-invalid", "xml-empty"}, (name, codes)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bomb(width: int, height: int) -> bytes:
    """Promises so many pixels; all of its bytes are valid, and packed a thousandfold."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(8_000_000, ((width + 7) // 8 + 1) * height)), 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def text_bomb() -> bytes:
    content = image_bytes(format="PNG")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    return content[:33] + bomb + content[33:]


def profile_bomb() -> bytes:
    content = image_bytes(format="PNG")
    bomb = png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200_000_000), 9))
    return content[:33] + bomb + content[33:]


def huge_tiff() -> bytes:
    tags = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 60_000), (279, 10)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + directory + bytes(4)


def many_frames() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (96, 64), (number % 256, number // 256, 9)) for number in range(600)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


IMAGES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "pixels of a PNG": (lambda: png_bomb(60_000, 60_000), {"image-too-large"}),
    "one row of a PNG": (lambda: png_bomb(2**31 - 1, 10), {"image-too-large", "image-unreadable"}),
    "text chunk of a PNG": (text_bomb, {"image-unreadable", "image-too-large"}),
    "colour profile of a PNG": (profile_bomb, {"image-unreadable", "image-too-large", ""}),
    "pixels of a TIFF": (huge_tiff, {"image-too-large", "image-unreadable", "image-truncated"}),
    "frames of a GIF": (many_frames, {"image-animated"}),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", {"image-unreadable"}),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
            {"image-unreadable"}),
    "HTML": (lambda: b"<html><script>alert(1)</script></html>", {"image-unreadable"}),
}  # fmt: skip


@pytest.mark.parametrize("attack", IMAGES)
def test_a_hostile_image_costs_itself_and_little_memory(tmp_path: Path, attack: str) -> None:
    make, codes = IMAGES[attack]
    result, findings = prepared(tmp_path, voc_files() | {IMAGE: make()})
    found = {finding["code"] for finding in findings if finding["path"] == IMAGE} or {""}
    assert found & codes, findings
    assert result["outcome"] == ("ready" if codes & {"", "image-animated"} & found else "rejected")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "image-too-large"),
        (OSError("image file is truncated"), "image-truncated"),
        (RuntimeError(), "image-unreadable"),
    ],
)
def test_a_image_that_cannot_be_written_anew_is_its_own_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def refuse(content: bytes, *, bits: int) -> bytes:
        raise error

    monkeypatch.setattr(images, "convert", refuse)
    facts, png = images.inspect_and_convert(image_bytes(mode="CMYK"))
    assert facts.problem and facts.problem[0] == code and png is None
    assert images.inspect_and_convert(image_bytes())[0].problem is None, "an ordinary one is not written anew"


def test_a_image_may_be_so_large_as_a_png_and_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    content = image_bytes(mode="CMYK")
    size = len(images.convert(content))
    monkeypatch.setattr(limits, "MAX_IMAGE_BYTES", size)
    assert len(images.inspect_and_convert(content)[1] or b"") == size
    monkeypatch.setattr(limits, "MAX_IMAGE_BYTES", size - 1)
    facts, png = images.inspect_and_convert(content)
    assert facts.problem and facts.problem[0] == "image-too-large" and png is None


class Armed:
    """Runs a command wherever it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._target}",)


def test_what_a_trainer_would_run_or_unpickle_never_reaches_the_disk(tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    armed = pickle.dumps(Armed(fired))
    names = ["labels.cache", "labels/train.cache", "images/p00.npy", "best.pt", "w.pth", "m.onnx", "x.pkl", "a.npz"]
    code = ["train.py", "setup.sh", "conftest.py", "inner.zip", "lib.so"]
    orders = f"download: touch {fired}\nnames: !!python/object/apply:os.system ['touch {fired}']\npath: /etc\n".encode()
    files = voc_files() | dict.fromkeys([*names, *code], armed) | {"data.yaml": orders}

    result, _ = prepared(tmp_path, files)

    assert result["outcome"] == "ready" and not fired.exists()
    assert not [name for name in (*names, *code) if can_be_data(name)]
    written = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not {Path(name).name for name in (*names, *code)} & set(written)
    assert b"download" not in (tmp_path / "out/tree/data.yaml").read_bytes()
    assert not [name for name in os.listdir(tmp_path) if name not in ("data.zip", "out", "home")]


ORDERS = ["download: touch {fired}", "names: !!python/object/apply:os.system ['touch {fired}']"]


@pytest.mark.parametrize("orders", ORDERS)
def test_a_yolo_yaml_is_read_as_data_and_never_run(tmp_path: Path, orders: str) -> None:
    fired = tmp_path / "fired"
    files: Files = {}
    for number in range(12):
        files[f"images/p{number:02d}.jpg"] = image_bytes(seed=number)
        files[f"labels/p{number:02d}.txt"] = b"0 0.5 0.5 0.25 0.25\n"
    head = "" if orders.startswith("names") else "names: [ball]\n"
    files["data.yaml"] = f"{head}path: ../../etc\ntrain: images\n{orders.format(fired=fired)}\n".encode()

    prepared(tmp_path, files)

    assert not fired.exists()
    for written in (tmp_path / "out").rglob("data.yaml"):
        assert b"download" not in written.read_bytes() and b"etc" not in written.read_bytes()
