"""Datasets with text and numbers that some layer below cannot take: one fault in each row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.builders.class_folders import folder_files
from tests.builders.voc import XML, Files, voc_files, zip_files
from tests.builders.yolo_coco import JSON, LABEL, YAML, coco_files, yolo_files

NUMBERS = ("1e99999999999999999999", "-1e99999999999999999999", "1e999999999999999999", "1e9999999", "1e400")
TINY_NUMBER = "1e-99999999999999999999"
# NUL, BEL, escape, delete, a C1 control sequence
CONTROLS = ("\0", "\x07", "\x1b[31m", "\x7f", "\x9b31m")
NO_SPACES = ("\x85", "\x1f")  # control characters that Python takes for white space
_NUL = "@NUL@"  # of a file name; zipfile would cut the name at a NUL


class BadText(NamedTuple):
    """`line`: a text that stands on the line of the finding, in the file `path`; None for no line."""

    name: str
    files: Files
    code: str
    path: str
    line: str | None
    outcome: str = "rejected"


def write(case: BadText, folder: Path) -> Path:
    path = zip_files(folder / "data.zip", case.files)
    path.write_bytes(path.read_bytes().replace(_NUL.encode(), b"@\0UL@"))
    return path


def cases() -> list[BadText]:
    return [*_coco(), *_voc(), *_yolo(), *_yolo_names(), *_folders()]


def _coco() -> list[BadText]:
    box, mark = '"id": 777', '"bbox": [5, 5, 30, 30]'

    def case(name: str, code: str, line: str, change: Callable[[str], str], outcome: str = "rejected") -> BadText:
        files = coco_files()
        text = files[JSON].decode()
        added = '{"id": 777, "image_id": 0, "category_id": 3, "bbox": [5, 5, 30, 30]}'
        text = text.replace('"annotations": [\n', f'"annotations": [\n{added},\n')
        files[JSON] = change(text).encode()
        assert files[JSON] != text.encode()
        return BadText(f"coco {name}", files, code, JSON, line, outcome)

    def swap(old: str, new: str) -> Callable[[str], str]:
        return lambda text: text.replace(old, new, 1)

    found = [
        case(f"number {number}", "box-not-a-number", box, swap(mark, f'"bbox": [5, 5, {number}, 30]'))
        for number in (*NUMBERS, TINY_NUMBER)
    ]
    found += [
        case(f"class {text!a}", "class-name-invalid", '"id": 3,', swap('"ball"', json.dumps(f"ba{text}ll")))
        for text in (*CONTROLS, *NO_SPACES, "\ud800", "\udfff\ud800")
    ]
    found += [
        case(f"image {text!a}", "image-missing", '00.jpg"', swap('"p00.jpg"', json.dumps(f"p{text}00.jpg")))
        for text in (*CONTROLS, "\ud800")
    ]
    box_of, ids = '"category_id": 3, "bbox": [5,', '"id": "a\\u0000b"'
    polygon = f'"segmentation": [[1, 1, 9, {NUMBERS[0]}, 5, 9]]'
    digits = '"bbox": [5, 5, 30, ' + "9" * 5000 + "]"
    size = swap('"width": 96', f'"width": {NUMBERS[0]}')

    def same_ids(text: str) -> str:
        return text.replace('"id": 777', ids).replace('"id": 1,', f"{ids},", 1)

    return [
        *found,
        case("category id", "class-id-unknown", box, swap(box_of, box_of.replace("3", '"a\\u0000"'))),
        case(
            "image id", "json-image-unknown", box, swap(f'"image_id": 0, {box_of}', f'"image_id": "\\ud800", {box_of}')
        ),
        case("annotation ids", "json-annotation-twice", ids, same_ids, "ready"),
        case("polygon", "box-missing", box, swap(mark, polygon)),
        case("digits", "json-invalid", box, swap(mark, digits)),
        case("size", "size-missing", f'"width": {NUMBERS[0]}', size, "ready"),
    ]


def _voc() -> list[BadText]:
    def case(name: str, code: str, line: str, change: tuple[str, str], outcome: str = "rejected") -> BadText:
        files = voc_files()
        added = (
            "<object>\n<name>ball</name>\n<bndbox>\n<xmin>5</xmin>\n<ymin>5</ymin>\n<xmax>40</xmax>\n<ymax>40</ymax>"
        )
        text = files[XML].decode().replace("</annotation>", f"{added}\n</bndbox>\n</object>\n</annotation>")
        at = text.rindex(change[0])
        text = text[:at] + change[1] + text[at + len(change[0]) :]
        files[XML] = text.encode(errors="surrogatepass")
        return BadText(f"voc {name}", files, code, XML, line, outcome)

    numbers = [
        case(f"number {number}", "box-not-a-number", "<bndbox>", ("<xmax>40", f"<xmax>{number}"))
        for number in (*NUMBERS, TINY_NUMBER)
    ]
    names = [
        case(f"class {name}", code, line, (">ball<", f">ba{name}ll<"))
        for name, code, line in [
            ("&#x9b;31m", "class-name-invalid", "<object>"),
            ("\x7f", "class-name-invalid", "<object>"),
            ("\x9b31m", "class-name-invalid", "<object>"),
            ("&#0;", "xml-invalid", "ll</name>"),
            ("&#27;", "xml-invalid", "ll</name>"),
            ("&#xD800;", "xml-invalid", "ll</name>"),
            ("\0", "xml-invalid", "ll</name>"),
            ("\ud800", "xml-invalid", "ll</name>"),
        ]
    ]
    file_name = ("p00.jpg</filename>", "&#x9b;p00.jpg</filename>")
    return [
        *numbers,
        *names,
        case("size", "size-missing", "<size>", ("<width>96", f"<width>{NUMBERS[0]}"), "ready"),
        case("file name", "filename-differs", "", file_name, "ready")._replace(line=None),
    ]


def _yolo() -> list[BadText]:
    def case(name: str, code: str, line: str) -> BadText:
        files = yolo_files()
        files[LABEL] += f"{line}\n".encode(errors="surrogatepass")
        return BadText(f"yolo {name}", files, code, LABEL, line.split()[-1] if line.isprintable() else None)

    return [
        *(case(f"number {number}", "box-not-a-number", f"0 0.5 0.5 0.123 {number}") for number in NUMBERS),
        *(case(f"class {number}", "class-id-unknown", f"{number} 0.5 0.5 0.1 0.1234") for number in NUMBERS),
        *(case(f"line {text!a}", "box-not-a-number", f"0 0.5 0.5 0.1 0.1{text}") for text in CONTROLS),
    ]


def _yolo_names() -> list[BadText]:
    def yaml(name: str, code: str, written: bytes, line: str = "0:") -> BadText:
        files = yolo_files()
        files[YAML] = files[YAML].replace(b"0: ball", b"0: " + written)
        return BadText(f"yaml {name}", files, code, YAML, line)

    def listed(text: str) -> BadText:
        files = yolo_files()
        del files[YAML]
        files["classes.txt"] = f"ball\ncu{text}be\n".encode()
        return BadText(f"classes.txt {text!a}", files, "class-name-invalid", "classes.txt", "cu")

    counted = yolo_files()
    counted[YAML] = counted[YAML].replace(b"nc: 2", f"nc: {NUMBERS[0]}".encode())
    count = BadText("yaml count", counted, "yaml-count-differs", YAML, "nc:", "ready")
    escapes = (rb"\0", rb"\a", rb"\e[31m", rb"\x9b31m", rb"\x7f", rb"\ud800", rb"\udfff")
    return [
        *(yaml(f"class {escape!r}", "class-name-invalid", b'"ba' + escape + b'll"') for escape in escapes),
        yaml("a raw NUL", "yaml-invalid", b"ba\0ll"),
        yaml("a raw escape", "yaml-invalid", b"\x1b[31mball"),
        yaml("no character", "yaml-invalid", rb'"\UFFFFFFFF"'),
        yaml("beyond Unicode", "yaml-invalid", rb'"\U00110000"'),
        count,
        *(listed(text) for text in (*CONTROLS, *NO_SPACES)),
    ]


def _folders() -> list[BadText]:
    c1, nul, escape = "disc\x9b31m", f"disc{_NUL}", "disc\x1b[31m"
    in_a_file = folder_files()
    in_a_file[f"box/{_NUL}.png"] = in_a_file.pop("box/00.png")
    return [
        BadText("folders C1", folder_files(classes=("box", c1, "cross")), "archive-name-invalid", "disc", None),
        BadText("folders NUL", folder_files(classes=("box", nul, "cross")), "archive-name-invalid", "disc", None),
        BadText("folders ESC", folder_files(classes=("box", escape, "cross")), "archive-name-invalid", "disc", None),
        BadText("file name NUL", in_a_file, "archive-name-invalid", "box/", None),
    ]
