"""`--diff` names the very leaves that were changed, and docs/fingerprint.md is true."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.__main__ import run
from tests import REPOSITORY
from tests.builders.class_folders import folder_files
from tests.builders.voc import IMAGE, XML, Files, image_bytes, voc_files, zip_files

FILES = voc_files(images=6)
PAGE = REPOSITORY / "docs" / "fingerprint.md"
Change = tuple[Files, tuple[str, str, str]]
RENUMBERED = ("class", "renumbered", "")


def diff(tmp_path: Path, first: Files, second: Files, *options: str) -> tuple[int, Any]:
    """Exit status, and the JSON printed."""
    archives = [zip_files(tmp_path / f"{name}.zip", files) for name, files in (("a", first), ("b", second))]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = run(["fingerprint", "--diff", *map(str, archives), "--json", "--processes", "1", *options])
    return status, json.loads(out.getvalue() or "null")


def leaves(answer: Any) -> set[tuple[str, str, str]]:
    return {(leaf["item"], leaf["change"], leaf["path"]) for leaf in answer["differences"]}


def without(files: Files, *names: str) -> Files:
    return {name: content for name, content in files.items() if name not in names}


def relabelled(old: bytes, new: bytes, *names: str) -> Files:
    return {n: c.replace(old, new) if n in names else c for n, c in FILES.items()}


XMLS = tuple(name for name in FILES if name.endswith(".xml"))
MOVED = re.sub(rb"<xmax>(\d+)", lambda m: b"<xmax>%d" % (int(m[1]) - 1), FILES[XML], count=1)

CHANGES: dict[str, Change] = {
    "added": (FILES | {"images/more.jpg": image_bytes(seed=78)}, ("image", "added", "more.jpg")),
    "removed": (without(FILES, IMAGE, XML), ("image", "removed", "p00.jpg")),
    "pixels": (FILES | {IMAGE: image_bytes(seed=77)}, ("image", "replaced", "p00.jpg")),
    "renamed": (
        without(FILES, IMAGE, XML)
        | {"images/q.jpg": FILES[IMAGE], "annotations/q.xml": FILES[XML].replace(b"p00", b"q")},
        ("image", "moved", "q.jpg"),
    ),
    "moved": (FILES | {XML: MOVED}, ("box", "moved", "p00.jpg")),
    "difficult": (
        FILES | {XML: FILES[XML].replace(b"<difficult>0", b"<difficult>1", 1)},
        ("box", "difficult changed", "p00.jpg"),
    ),
    "box class": (relabelled(b"cube", b"ball", XML), ("box", "class changed", "p00.jpg")),
    "class name": (relabelled(b"ball", b"zebra", *XMLS), ("class", "renamed", "")),  # the ids change places
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_change_is_one_leaf(tmp_path: Path, change: str) -> None:
    changed, leaf = CHANGES[change]
    status, answer = diff(tmp_path, FILES, changed)
    assert status == 1 and answer["equal"] is False
    # What is in the archive may move other images to another part of the split that we make.
    found = {found for found in leaves(answer) if found[0] != "split"}
    assert found == {leaf} | ({RENUMBERED} if leaf[1] == "renamed" else set())


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.sampled_from(["added", "moved at p01", "pixels at p02", "removed p03", "box class at p04"])))
def test_any_set_of_changes_is_named_and_the_way_back_as_well(tmp_path: Path, chosen: set[str]) -> None:
    files, expected = dict(FILES), set[tuple[str, str, str]]()
    if "added" in chosen:
        files["images/more.jpg"] = image_bytes(seed=78)
        expected.add(("image", "added", "more.jpg"))
    if "moved at p01" in chosen:
        xml = files["annotations/p01.xml"]
        files["annotations/p01.xml"] = re.sub(rb"<ymin>(\d+)", lambda m: b"<ymin>%d" % (int(m[1]) + 1), xml, count=1)
        expected.add(("box", "moved", "p01.jpg"))
    if "pixels at p02" in chosen:
        files["images/p02.jpg"] = image_bytes(seed=79)
        expected.add(("image", "replaced", "p02.jpg"))
    if "removed p03" in chosen:
        files = without(files, "images/p03.jpg", "annotations/p03.xml")
        expected.add(("image", "removed", "p03.jpg"))
    if "box class at p04" in chosen:
        files["annotations/p04.xml"] = files["annotations/p04.xml"].replace(b"cube", b"ball")
        expected.add(("box", "class changed", "p04.jpg"))
    status, there = diff(tmp_path, FILES, files)
    _, back = diff(tmp_path, files, FILES)
    assert (status, there["equal"]) == ((1, False) if chosen else (0, True))
    assert {leaf for leaf in leaves(there) if leaf[0] != "split"} == expected
    turned = {"added": "removed", "removed": "added"}
    mirrored = {(leaf, turned.get(change, change), path) for leaf, change, path in leaves(there)}
    assert leaves(back) == mirrored


def test_a_moved_box_and_a_renamed_class_come_with_old_and_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = diff(tmp_path, FILES, FILES | {XML: MOVED})
    (leaf,) = (leaf for leaf in answer["differences"] if leaf["item"] == "box")
    assert leaf["old"] | {"x2": leaf["old"]["x2"] - 1} == leaf["new"]
    changed = relabelled(b"ball", b"ball\x9b31m", *XMLS)
    archives = [str(zip_files(tmp_path / f"{n}.zip", f)) for n, f in (("x", FILES), ("y", changed))]
    assert run(["fingerprint", "--diff", *archives, "--processes", "1"]) in (1, 2)
    assert "\x9b" not in capsys.readouterr().out
    archives = [str(zip_files(tmp_path / f"{n}.zip", f)) for n, f in (("x", FILES), ("y", without(FILES, IMAGE, XML)))]
    assert run(["fingerprint", "--diff", *archives, "--processes", "1"]) == 1
    assert re.search(r"\nboxes .* 0 in added images, [1-9]\d* in removed ones\n", capsys.readouterr().out)
    archives = [str(zip_files(tmp_path / f"{n}.zip", f)) for n, f in (("x", FILES), ("y", FILES | {XML: MOVED}))]
    split = ["--val-fraction", "0.5", "--seed", "1"]
    assert run(["fingerprint", "--diff", *archives, "--processes", "1", *split]) == 1
    assert "\n1 item differs:\n" in capsys.readouterr().out


def test_a_split_that_changed_is_named(tmp_path: Path) -> None:
    def tree(val: set[int]) -> Files:
        names = {f"p{number:02d}": "val" if number in val else "train" for number in range(6)}
        lists = {
            f"ImageSets/Main/{split}.txt": "".join(f"{n}\n" for n, s in names.items() if s == split).encode()
            for split in ("train", "val")
        }
        return FILES | lists

    _, answer = diff(tmp_path, tree({4}), tree({4, 5}))
    assert [tuple(leaf.values()) for leaf in answer["differences"]] == [("split", "changed", "p05.jpg", "train", "val")]
    assert answer["first"]["content_fingerprint"] == answer["second"]["content_fingerprint"]


def test_an_archive_that_is_rejected_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = diff(tmp_path, FILES, {"readme.txt": b"nothing"})
    assert status == 2
    assert "b.zip: format-unknown" in capsys.readouterr().err


def test_the_page_on_the_fingerprint_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = PAGE.read_text(encoding="utf-8").split("<!-- example: begin -->")[1].split("<!-- example: end -->")[0]
    (code,) = re.findall(r"```python\n(.*?)```", example, re.DOTALL)
    (promised,) = re.findall(r"```text\n(.*?)```", example, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == promised
    assert run(["fingerprint", "example.zip", "--processes", "1"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert dict(line.split() for line in promised.splitlines()) == {
        name: ours[name] for name in ("fingerprint", "content_fingerprint")
    }


def test_folders_of_classes_are_compared_by_label(tmp_path: Path) -> None:
    before = folder_files(each=4, classes=("box", "disc"))
    after = {name.replace("box/03", "disc/box-03"): content for name, content in before.items()}
    status, answer = diff(tmp_path, before, after)
    assert status == 1
    assert {leaf for leaf in leaves(answer) if leaf[0] != "split"} == {
        ("image", "moved", "disc/box-03.png"),
        ("label", "changed", "disc/box-03.png"),
    }
    (label,) = (leaf for leaf in answer["differences"] if leaf["item"] == "label")
    assert (label["old"], label["new"]) == ("box", "disc")
    assert answer["summary"]["class_shift"] == 0.125
    assert diff(tmp_path, before, FILES)[0] == 2  # boxes have no labels to compare


def test_the_lines_begin_with_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = FILES | {"images/more.jpg": image_bytes(seed=78)}
    archives = [str(zip_files(tmp_path / f"{n}.zip", f)) for n, f in (("a", FILES), ("b", changed))]
    assert run(["fingerprint", "--diff", *archives, "--processes", "1"]) == 1
    printed = capsys.readouterr().out
    assert "\nimages  6 -> 7: " in printed and "1 added, 0 removed" in printed
    assert "\nclasses 2 -> 2: shares shift by 0.0%\n" in printed
