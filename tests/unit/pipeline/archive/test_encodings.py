"""Encodings: what is read, what is guessed in words, and names in a ZIP that declare none."""

import codecs
from itertools import product
from pathlib import Path

import pytest

from pipeline.archive.encodings import UnknownEncoding, decode
from pipeline.archive.extract import extract
from tests.builders.encoded import raw_zip
from tests.builders.voc import image_bytes

TEXTS = ("bolt\nnut\n", "Größe\ncafé\n", "安全帽\n反光衣\n", "кошка\n", "犬\n")
IMAGE = image_bytes()


@pytest.mark.parametrize(
    ("text", "encoding", "mark"),
    [
        (text, encoding, mark)
        for text, (encoding, mark) in product(
            TEXTS,
            [
                ("utf-8", b""),
                ("utf-8", codecs.BOM_UTF8),
                ("utf-16-le", codecs.BOM_UTF16_LE),
                ("utf-16-be", codecs.BOM_UTF16_BE),
                ("utf-32-le", codecs.BOM_UTF32_LE),
                ("utf-16-le", b""),
                ("utf-16-be", b""),
            ],
        )
    ],
)
def test_unicode_is_read_with_and_without_a_mark(text: str, encoding: str, mark: bytes) -> None:
    assert decode(mark + text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding", "words"),
    [
        ("安全帽\n反光衣\n绝缘手", "gbk", "GBK"),
        ("犬\n十字\nソファ", "cp932", "Shift-JIS"),
        ("사람\n자동차\n트럭", "cp949", "EUC-KR"),
        ("汽車\n卡車\n機車", "cp950", "Big5"),
        ("Größe\ncafé\n", "cp1252", "cp1252"),
        ("кошка\nсобака\n", "cp1251", "cp1251"),
        ("Größe\n", "cp437", "a single-byte code page"),
    ],
)
def test_another_encoding_is_refused_and_named(text: str, encoding: str, words: str) -> None:
    with pytest.raises(UnknownEncoding, match=f"not UTF-8; it looks like {words}"):
        decode(text.encode(encoding))


def test_a_mark_that_the_bytes_contradict_is_refused() -> None:
    with pytest.raises(UnknownEncoding, match="begins as UTF-16 and is not valid"):
        decode(codecs.BOM_UTF16_LE + b"odd")


@pytest.mark.parametrize(
    ("encoding", "folders"),
    [
        ("cp932", ("犬", "十字", "十円", "ソファ", "ソーダ", "表")),
        ("gbk", ("安全帽", "反光衣", "狗", "俓")),
        ("cp949", ("사람", "자동차", "트럭", "버스")),
        ("cp950", ("安全帽", "功能", "許可", "汽車")),  # 功 and 許 hold 0x5C
    ],
)
@pytest.mark.parametrize("separator", [b"/", b"\\"])
def test_names_are_read_in_one_encoding_and_0x5c_in_a_letter_is_no_separator(
    tmp_path: Path, encoding: str, folders: tuple[str, ...], separator: bytes
) -> None:
    names = {f"data/{folder}/{number}.jpg" for folder in folders for number in range(2)}
    raw = {separator.join(part.encode(encoding) for part in name.split("/")): IMAGE for name in names}
    source, notes = extract(raw_zip(tmp_path / "a.zip", raw), tmp_path, threads=1, tick=lambda *_: None)
    assert {file.name for file in source.files} == names
    (note,) = (note for note in notes if note.code == "names-encoding-guessed")
    assert f"read as {encoding}" in note.detail


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp866", "cp1252"])
def test_folders_stay_separate_in_an_encoding_that_is_not_recognised(tmp_path: Path, encoding: str) -> None:
    folders = {name.encode(encoding, "ignore") for name in ("Größe", "Grüße", "été", "кот", "ключ")} - {b""}
    raw = {b"data/" + folder + b"/1.jpg": IMAGE for folder in folders}
    source, _ = extract(raw_zip(tmp_path / "a.zip", raw), tmp_path, threads=1, tick=lambda *_: None)
    assert len({file.name.split("/")[1] for file in source.files}) == len(folders)


@pytest.mark.parametrize(("names", "folders"), [((b"a/\x8f\x5cx/1.jpg", b"a/\x8f\x5cy/1.jpg", b"a/\xff/1.jpg"), 3)])
def test_a_byte_0x5c_behind_a_high_byte_separates_nothing_where_slashes_do(
    tmp_path: Path, names: tuple[bytes, ...], folders: int
) -> None:
    archive = raw_zip(tmp_path / "a.zip", dict.fromkeys(names, IMAGE))
    source, _ = extract(archive, tmp_path, threads=1, tick=lambda *_: None)
    assert len({file.name.rpartition("/")[0] for file in source.files}) == folders
    assert {file.name.count("/") for file in source.files} == {2}


def test_a_name_that_is_utf8_by_chance_is_read_as_the_others_are(tmp_path: Path) -> None:
    assert "犬".encode("gbk").decode() == "\u022e"
    raw = {f"{name}/1.jpg".encode("gbk"): IMAGE for name in ("犬", "安全帽", "反光衣")}
    source, _ = extract(raw_zip(tmp_path / "a.zip", raw), tmp_path, threads=1, tick=lambda *_: None)
    assert {file.name.split("/")[0] for file in source.files} == {"犬", "安全帽", "反光衣"}
