"""An extension in its child: what it writes is read back exactly, and nothing that is known is decoded again."""

import hashlib
import io
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.domain.errors import PreparationFailed
from pipeline.__main__ import run
from pipeline.archive.extract import extract
from pipeline.archive.inflate import inflate
from pipeline.archive.source import Rejected
from pipeline.dataset.frozen_images import FrozenImage, write_frozen_images
from pipeline.dataset_export.inputs import contents_of_upload
from pipeline.decode.inspect_ahead import inspect_all
from pipeline.decode.pool import DecodePool
from pipeline.extension import copying
from pipeline.extension.copying import CopiedImage, ImageCopies, Tick
from pipeline.extension.run import extend
from pipeline.formats.revision import REVISION_FILE
from pipeline.index.known import find_known, read_known
from pipeline.index.read import read_images
from pipeline.index.schema import INDEX_FILE, IndexedImage
from pipeline.layouts import TAR_FILE
from pipeline.params.prepare import PrepareOptions
from pipeline.plots.thumbnails import Thumbnail
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from pipeline.process.results import Rejection, read_result
from tests.builders.hub_sets import box_table, jpeg
from tests.builders.revisions import Extended, extend_spec, prepared_in, revision_files
from tests.builders.voc import Files, annotation, image_bytes, voc_files, voc_zip, zip_files


def _rows(folder: Path) -> dict[str, IndexedImage]:
    return {row.path: row for row in read_images(folder / INDEX_FILE)}


def _tar(folder: Path) -> bytes:
    return (folder / TAR_FILE).read_bytes()


def _unplaced(row: IndexedImage) -> IndexedImage:
    return row._replace(at=0, name="", row=None)


def _added(number: int, *, name: str = "aardvark") -> Files:
    boxes = [(name, 3.5, 4.25, 40.0, 50.0)]
    image = image_bytes(boxes=boxes, seed=1000 + number)
    return {f"more/n{number}.jpg": image, f"more/n{number}.xml": annotation(f"n{number}.jpg", boxes)}


def test_a_revision_keeps_what_it_extends_and_its_fingerprint_is_recomputed_offline(tmp_path: Path) -> None:
    parent = zip_files(tmp_path / "parent.zip", {f"set/{k}": v for k, v in voc_files(images=12).items()})
    before = prepared_in(tmp_path / "before", parent)
    old = _rows(tmp_path / "before")
    again = image_bytes(seed=99)
    files = voc_files(images=12)
    known = files["images/p03.jpg"]
    more = {
        **_added(1),
        **_added(2),
        "more/known.jpg": known,
        "more/known.xml": annotation("known.jpg", [("cube", 2.0, 3.0, 30.0, 40.0)]),
        "more/p05.jpg": again,
        "more/p05.xml": annotation("p05.jpg", [("ball", 2.0, 3.0, 30.0, 40.0)]),
        "more/darkroom-remove.txt": b"p07.jpg\nnothing.jpg\n",
    }
    grown = Extended(
        tmp_path / "after",
        parent,
        before,
        tmp_path / "before" / INDEX_FILE,
        additions=zip_files(tmp_path / "more.zip", more),
    )
    assert (grown.result.images, grown.result.added, grown.result.replaced) == (14, 3, 1)
    assert grown.prepared.classes == ["ball", "cube", "aardvark"]
    new = _rows(grown.out)
    for path in old.keys() - {"p07.jpg", "p03.jpg"}:
        assert _unplaced(new[path]) == _unplaced(old[path])
    assert new["p03.jpg"].split == old["p03.jpg"].split and len(new["p03.jpg"].boxes) == 1
    assert "p07.jpg" not in new and len(new) == 14
    assert {"extend-annotations-replaced", "extend-image-removed", "extend-remove-unknown", "extend-image-renamed"} <= (
        grown.prepared.findings.keys()
    )
    offline = validate_archive(
        grown.archive, _folder(tmp_path / "offline"), PrepareOptions(seed=7), processes=1, steps=StageReporter()
    )
    assert offline.digests.fingerprint == grown.prepared.fingerprint


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _odd_images() -> Files:
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("P").save(palette, "PNG")
    return {
        "a/plain.jpg": image_bytes(seed=1, boxes=[("x", 3, 3, 30, 30)]),
        "a/turned.jpg": image_bytes(seed=2, boxes=[("x", 3, 3, 30, 30)], exif=turned),
        "a/behind.jpg": image_bytes(seed=3, boxes=[("x", 3, 3, 30, 30)]) + b"12 more bytes",
        "a/grey.png": image_bytes(seed=4, mode="L", format="PNG", boxes=[("x", 3, 3, 30, 30)]),
        "a/alpha.png": image_bytes(seed=5, mode="RGBA", format="PNG", boxes=[("x", 3, 3, 30, 30)]),
        "b/palette.png": palette.getvalue(),
        "b/flat.png": image_bytes(seed=6, format="PNG"),
        "b/cmyk.jpg": image_bytes(seed=7, mode="CMYK"),
        "b/deep.png": _deep(),
        "b/photo.webp": image_bytes(seed=8, format="WEBP", boxes=[("x", 3, 3, 30, 30)]),
    }


def _deep() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("I").point(lambda value: value * 256).convert("I;16").save(out, "PNG")
    return out.getvalue()


def test_facts_from_an_index_are_those_of_decoding(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "odd.zip", _odd_images())
    prepared_in(tmp_path / "out", archive)
    known = read_known(tmp_path / "out" / INDEX_FILE)
    source, _ = extract(archive, _folder(tmp_path / "into"), threads=1, tick=lambda *_: None)
    decoded = dict(
        zip(
            (f.sha256 for f in source.files),
            inspect_all(list(source.files), processes=1, tick=lambda *_: None),
            strict=True,
        )
    )
    assert {sha256: decoded[sha256] for sha256 in known} == known
    kept = {file.name for file in source.files if file.sha256 in known}
    assert kept == {file.name for file in source.files} - {"b/cmyk.jpg", "b/deep.png"}  # which are converted anew


def test_what_is_known_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    submitted: list[object] = []
    original = DecodePool.submit

    def submit(self: object, tasks: object) -> None:
        each = list(tasks)  # type: ignore[call-overload] # of any kind
        submitted.extend(task for task in each if type(task).__name__ == "ImageTask")
        original(self, each)  # type: ignore[arg-type] # as above

    monkeypatch.setattr(DecodePool, "submit", submit)
    with zipfile.ZipFile(parent) as files:
        name = next(each for each in files.namelist() if each.endswith(".jpg"))
        again = {"more/again.jpg": files.read(name)}
    again["more/again.xml"] = annotation("again.jpg", [("ball", 2.0, 3.0, 30.0, 40.0)])
    additions = zip_files(tmp_path / "more.zip", _added(1) | again)
    index = tmp_path / "before" / INDEX_FILE
    Extended(tmp_path / "after", parent, before, index, additions=additions)
    assert len(submitted) == 1  # the new image, when it is read
    digest = hashlib.sha256(again["more/again.jpg"]).hexdigest()
    assert find_known(index, [digest, "00" * 32]) == {digest: read_known(index)[digest]}


def test_one_folder_of_a_known_class_is_enough(tmp_path: Path) -> None:
    names = ("cat", "dog")
    files = {f"{names[n % 2]}/{n}.jpg": image_bytes(seed=n, boxes=[("x", n + 1, 3, 30, 30)]) for n in range(20)}
    parent = zip_files(tmp_path / "parent.zip", files)
    before = prepared_in(tmp_path / "before", parent)
    more = {f"new/dog/{n}.jpg": image_bytes(seed=n, boxes=[("x", n - 50, 9, 40, 44)]) for n in range(70, 73)}
    grown = Extended(
        tmp_path / "after",
        parent,
        before,
        tmp_path / "before" / INDEX_FILE,
        additions=zip_files(tmp_path / "more.zip", more),
    )
    assert grown.prepared.images == 23
    assert all(row.label == 1 for path, row in _rows(grown.out).items() if path not in _rows(tmp_path / "before"))
    trained = [path for path, row in _rows(grown.out).items() if row.split == "train" and row.label == 0]
    third = Extended(
        tmp_path / "third",
        grown.archive,
        grown.prepared,
        grown.out / INDEX_FILE,
        changes={trained[0]: {"label": "lynx"}, trained[1]: {"remove": True}},
    )
    assert third.prepared.classes == ["cat", "dog", "lynx"] and third.prepared.images == 22


def test_what_is_added_must_be_of_the_kind_of_the_dataset(tmp_path: Path) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    more = {f"{name}/{n}.jpg": image_bytes(seed=n) for n in range(4) for name in ("cat", "dog")}
    additions = zip_files(tmp_path / "more.zip", more)
    with pytest.raises(Rejected) as rejected:
        Extended(tmp_path / "after", parent, before, tmp_path / "before" / INDEX_FILE, additions=additions)
    assert "extend-kind-differs" in {each.code for each in rejected.value.findings}


def test_a_validation_split_that_is_taken_out_is_not_made_anew(tmp_path: Path) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    held_out = [path for path, row in _rows(tmp_path / "before").items() if row.split == "val"]
    with pytest.raises(Rejected, match="validation split"):
        Extended(
            tmp_path / "after",
            parent,
            before,
            tmp_path / "before" / INDEX_FILE,
            changes={path: {"remove": True} for path in held_out},
        )


def test_images_come_from_the_folder_that_was_prepared(tmp_path: Path) -> None:
    """Another folder has images of the same names: those of a frozen test set, which the preparation left out."""
    trained = {f"train/{path}": content for path, content in voc_files(images=12).items()}
    frozen = {f"test/images/p{n:02d}.jpg": image_bytes(seed=500 + n) for n in range(12)}
    notes = {f"test/annotations/p{n:02d}.xml": annotation(f"p{n:02d}.jpg", []) for n in range(12)}
    images = [FrozenImage(path, hashlib.sha256(content).hexdigest(), b"") for path, content in frozen.items()]
    write_frozen_images(images, tmp_path / "list.json", fingerprint="f" * 64)
    parent = zip_files(tmp_path / "parent.zip", {**trained, **frozen, **notes})
    before = prepared_in(tmp_path / "before", parent, exclude=tmp_path / "list.json")
    old = _rows(tmp_path / "before")
    assert len(old) == 12
    more = zip_files(tmp_path / "more.zip", _added(1))
    grown = Extended(tmp_path / "after", parent, before, tmp_path / "before" / INDEX_FILE, additions=more)
    new = _rows(grown.out)
    assert {path: new[path].sha256 for path in old} == {path: row.sha256 for path, row in old.items()}


def test_a_parent_whose_images_are_others_than_its_index_says_is_refused(tmp_path: Path) -> None:
    prepared = prepared_in(tmp_path / "before", zip_files(tmp_path / "before.zip", voc_files(images=12)))
    files = voc_files(images=12)
    other = zip_files(tmp_path / "parent.zip", files | {"images/p03.jpg": files["images/p04.jpg"]})
    changes = {"p05.jpg": {"remove": True}}
    with pytest.raises(PreparationFailed, match=r"p03\.jpg"):
        Extended(tmp_path / "after", other, prepared, tmp_path / "before" / INDEX_FILE, changes=changes)


def test_a_parent_whose_directory_states_another_checksum_is_refused(tmp_path: Path) -> None:
    """It would be that of the next ZIP."""
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    with zipfile.ZipFile(parent) as archive:
        crc = archive.getinfo("images/p03.jpg").CRC.to_bytes(4, "little")
    content = parent.read_bytes()
    assert content.count(crc) == 2
    parent.write_bytes(content.replace(crc, bytes(4)))
    changes = {"p05.jpg": {"remove": True}}
    with pytest.raises(PreparationFailed, match=r"p03\.jpg"):
        Extended(tmp_path / "after", parent, before, tmp_path / "before" / INDEX_FILE, changes=changes)


def test_a_verified_parent_is_copied_to_the_same_zip(tmp_path: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((1500, 1000), 90).convert("RGB").save(noise, "BMP")
    files = voc_files(images=12)
    files["images/p03.bmp"] = noise.getvalue()
    files["annotations/p03.xml"] = annotation("p03.bmp", [("cube", 2.0, 3.0, 30.0, 40.0)], size=(1500, 1000))
    del files["images/p03.jpg"]
    parent = zip_files(tmp_path / "parent.zip", files)
    before = prepared_in(tmp_path / "before", parent)
    index = tmp_path / "before" / INDEX_FILE
    additions = zip_files(tmp_path / "more.zip", _added(1) | {"darkroom-remove.txt": b"p05.jpg"})
    grown, again = (
        Extended(tmp_path / name, parent, before, index, additions=additions, verified=verified)
        for name, verified in (("after", True), ("again", False))
    )
    with zipfile.ZipFile(grown.archive) as archive:
        assert archive.testzip() is None
        assert archive.read("p03.bmp") == noise.getvalue()
        assert hashlib.sha256(archive.read("n1.jpg")).hexdigest() == _rows(grown.out)["n1.jpg"].sha256
    assert grown.archive.read_bytes() == again.archive.read_bytes()


def test_images_that_were_hashed_as_the_archive_was_written_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    index = tmp_path / "before" / INDEX_FILE
    before = prepared_in(tmp_path / "before", parent)
    read: list[str] = []

    def noted(file: Any, entry: Any, *more: Any, **options: Any) -> str:
        read.append(entry.name)
        return inflate(file, entry, *more, **options)

    monkeypatch.setattr("pipeline.archive.extract.inflate", noted)
    added = _added(1)
    grown = Extended(tmp_path / "after", parent, before, index, additions=zip_files(tmp_path / "more.zip", added))
    assert sorted(read) == sorted([*added, REVISION_FILE])
    read.clear()
    alone = prepared_in(tmp_path / "alone", grown.archive, known=index, extended=True)
    assert len(read) == before.images + 2 and alone.fingerprint == grown.prepared.fingerprint
    assert _tar(tmp_path / "alone") == _tar(grown.out)


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_each_image_is_awaited_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """An image is copied only once somebody waits for it; the thumbnails of the parent are there, and need none."""
    parent = zip_files(tmp_path / "parent.zip", revision_files(kind, images=24))
    index = tmp_path / "before" / INDEX_FILE
    before = prepared_in(tmp_path / "before", parent)
    late: dict[str, tuple[Any, ...]] = {}
    begin, wait, wait_for = ImageCopies.begin, ImageCopies.wait, ImageCopies.wait_for

    def begin_late(_: ImageCopies, archive: Path, images: list[CopiedImage], target: Path) -> None:
        late.update({image.path: (archive, [image], target) for image in images})

    def wait_for_late(copies: ImageCopies, path: str, check: Callable[[], None]) -> None:
        if path in late:
            begin(copies, *late.pop(path))
        wait_for(copies, path, check)

    def wait_for_all(copies: ImageCopies, tick: Tick) -> None:
        for path in list(late):
            begin(copies, *late.pop(path))
        wait(copies, tick)

    for name, late_one in (("begin", begin_late), ("wait_for", wait_for_late), ("wait", wait_for_all)):
        monkeypatch.setattr(ImageCopies, name, late_one)
    removed = next(iter(_rows(tmp_path / "before")))
    samples = tmp_path / "before" / "samples.tar"
    grown = Extended(
        tmp_path / "after", parent, before, index, changes={removed: {"remove": True}}, verified=True, samples=samples
    )
    assert not late
    prepared_in(tmp_path / "alone", grown.archive)
    assert _tar(tmp_path / "alone") == _tar(grown.out)


def test_images_that_are_decoded_again_are_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, as their PNGs are not kept."""
    parent = zip_files(tmp_path / "parent.zip", _odd_images())
    before = prepared_in(tmp_path / "before", parent)
    late: list[tuple[Any, ...]] = []
    begin, wait = ImageCopies.begin, ImageCopies.wait

    def wait_for_all(copies: ImageCopies, tick: Tick) -> None:
        while late:
            begin(copies, *late.pop())
        wait(copies, tick)

    monkeypatch.setattr(ImageCopies, "begin", lambda _, *copied: late.append(copied))
    monkeypatch.setattr(ImageCopies, "wait", wait_for_all)
    changes = {"a/plain.jpg": {"remove": True}}
    grown = Extended(tmp_path / "after", parent, before, tmp_path / "before" / INDEX_FILE, changes=changes)
    prepared_in(tmp_path / "alone", grown.archive)
    assert _tar(tmp_path / "alone") == _tar(grown.out)


def test_what_is_rejected_once_it_is_written_is_written_whole(tmp_path: Path) -> None:
    """The job names its ZIP, and whoever looks at it finds all images."""
    files = voc_files(images=12)
    parent = zip_files(tmp_path / "parent.zip", files)
    before = prepared_in(tmp_path / "before", parent)
    frozen = [FrozenImage(path, hashlib.sha256(content).hexdigest(), b"") for path, content in files.items()]
    write_frozen_images(frozen, tmp_path / "list.json", fingerprint="f" * 64)
    spec = extend_spec(
        tmp_path / "after",
        parent,
        before,
        tmp_path / "before" / INDEX_FILE,
        changes={"p05.jpg": {"remove": True}},
        exclude=tmp_path / "list.json",
    )
    extend(spec, _folder(tmp_path / "scratch"))
    assert isinstance(read_result(spec.prepare.out), Rejection)
    with zipfile.ZipFile(spec.prepare.archive) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 11 + 2


@pytest.mark.parametrize("kills", [1, 2])
def test_images_are_copied_again_where_a_process_is_killed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    for number in range(kills):
        (tmp_path / f"kill-{number}").touch()
    monkeypatch.setattr("pipeline.extension.copying._copy", _copy_or_die)
    more = (tmp_path / "after", parent, before, tmp_path / "before" / INDEX_FILE)
    changes = {"p05.jpg": {"remove": True}}
    if kills == 1:
        with zipfile.ZipFile(Extended(*more, changes=changes).archive) as archive:
            assert archive.testzip() is None
    else:
        with pytest.raises(PreparationFailed, match=r"Copying images ended the process \(exit status -9\)"):
            Extended(*more, changes=changes)


def _copy_or_die(batch: Any) -> bytes:
    """Dies once for each file `kill-...` beside the parent's ZIP."""
    for file in batch.archive.parent.glob("kill-*"):
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return copying._copy(batch)


def test_facts_of_added_images_are_those_of_decoding_them_again(tmp_path: Path) -> None:
    files = {f"{'ab'[n % 2]}/{n}.jpg": image_bytes(seed=40 + n, boxes=[("x", n + 1, 3, 30, 30)]) for n in range(20)}
    parent = zip_files(tmp_path / "parent.zip", files)
    index = tmp_path / "before" / INDEX_FILE
    before = prepared_in(tmp_path / "before", parent)
    grown = Extended(
        tmp_path / "after", parent, before, index, additions=zip_files(tmp_path / "more.zip", _odd_images())
    )
    alone = prepared_in(tmp_path / "alone", grown.archive)
    assert alone.fingerprint == grown.prepared.fingerprint and _tar(tmp_path / "alone") == _tar(grown.out)
    assert _rows(tmp_path / "alone") == _rows(grown.out)
    assert read_known(tmp_path / "alone" / INDEX_FILE) == read_known(grown.out / INDEX_FILE)


def test_thumbnails_that_would_be_the_same_are_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = voc_zip(tmp_path / "parent.zip")
    before = prepared_in(tmp_path / "before", parent)
    index = tmp_path / "before" / INDEX_FILE
    changes = {"p03.jpg": {"boxes": [{"label": "ball", "x1": 5, "y1": 5, "x2": 30, "y2": 30}]}}
    grown = Extended(tmp_path / "after", parent, before, index, changes=changes)
    drawn: list[Any] = []
    original = DecodePool.submit

    def submit(self: Any, tasks: Any) -> None:
        each = list(tasks)
        drawn.extend(task for task in each if isinstance(task, Thumbnail))
        original(self, each)

    monkeypatch.setattr(DecodePool, "submit", submit)
    samples = tmp_path / "before" / "samples.tar"
    prepared_in(tmp_path / "again", grown.archive, known=index, samples=samples, extended=True)
    assert [task.name for task in drawn] == ["p03.jpg"]
    assert (tmp_path / "again" / "samples.tar").read_bytes() == (grown.out / "samples.tar").read_bytes()


def test_a_dataset_of_parquet_files_is_extended_by_others_repaired_and_exported(tmp_path: Path) -> None:
    """Its ZIP holds no image: whoever reads one reads what is in the tables."""

    def tables(first: int, count: int) -> dict[str, bytes]:
        rows = [{"image": jpeg(first + at), "path": f"{first + at}.jpg"} for at in range(count)]
        return {"data/train-0.parquet": box_table(rows[:-1]), "data/validation-0.parquet": box_table(rows[-1:])}

    parent = zip_files(tmp_path / "parent.zip", tables(0, 6), compression=zipfile.ZIP_STORED)
    before = prepared_in(tmp_path / "before", parent)
    index = tmp_path / "before" / INDEX_FILE
    more = zip_files(tmp_path / "more.zip", {**tables(6, 3), "darkroom-remove.txt": b"1.jpg\n"})
    grown = Extended(tmp_path / "after", parent, before, index, additions=more)
    assert (grown.result.images, grown.result.added) == (8, 3)
    after = _rows(grown.out)
    assert {path: row.split for path, row in after.items() if path == "5.jpg"} == {"5.jpg": "val"}
    assert _unplaced(after["0.jpg"]) == _unplaced(_rows(tmp_path / "before")["0.jpg"])

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    contents = contents_of_upload(parent, scratch, index, threads=1, steps=StageReporter())
    assert {row.path: contents(row).read() for row in read_images(index)} == {f"{n}.jpg": jpeg(n) for n in range(6)}
    assert run(["repair", str(parent), str(tmp_path / "repaired.zip")]) == 0
    assert prepared_in(tmp_path / "repaired", tmp_path / "repaired.zip").fingerprint == before.fingerprint
