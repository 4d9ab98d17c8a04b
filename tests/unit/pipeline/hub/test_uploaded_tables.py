"""Uploads of parquet files: what is read of them, what is reported with its row, and what hostile ones cost."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.domain.findings import Finding
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from pipeline.hub import tables, unpack_process, uploaded_tables
from pipeline.hub.image_paths import ImagePaths
from pipeline.hub.unpack_spec import TableFile, UnpackSpec
from pipeline.hub.uploaded_tables import extract_dataset, holds_tables
from pipeline.prepare.preflight import inspect_archive_end
from pipeline.process.progress import StageReporter
from tests.builders.hub_sets import IMAGE_TYPE, box_table, jpeg, table, written
from tests.builders.voc import Files, zip_files

TRAIN, VALIDATION = "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"


def read(folder: Path, files: Files) -> Dataset:
    archive = zip_files(folder / "data.zip", files)
    (folder / "into").mkdir()
    source, findings = extract_dataset(archive, folder / "into", threads=1, steps=StageReporter())
    dataset = read_dataset(source, findings)
    assert not list((folder / "into").rglob("rows.jsonl")), "what is not needed any more is removed"
    dataset.findings.extend(findings)
    return dataset


def refused(folder: Path, files: Files) -> Finding:
    with pytest.raises(Rejected) as rejected:
        read(folder, files)
    [finding] = rejected.value.findings
    assert finding.path in rejected.value.problem.detail
    return finding


def unpacked(folder: Path, content: bytes, max_bytes: int = 10**9) -> None:
    """In this process."""
    (folder / "t.parquet").write_bytes(content)
    spec_file = TableFile(name="t.parquet", entry=TRAIN, file=str(folder / "t.parquet"), at=0, bytes=len(content))
    unpack_process.unpack(
        UnpackSpec(
            tables=[spec_file],
            readme=None,
            class_order=None,
            target=folder / "made.zip",
            result=folder / "refused.json",
            max_bytes=max_bytes,
        )
    )


def test_boxes_of_a_set_of_the_hub_are_read_with_their_names_and_splits(tmp_path: Path) -> None:
    card = (
        "---\nconfigs: [{config_name: default, data_files: [{split: train, path: a.parquet}, "
        "{split: test, path: b/*.parquet}]}]\ndataset_info: {features: [{name: objects, sequence: [{name: bbox}, "
        "{name: category, dtype: {class_label: {names: {'0': ball, '1': cube}}}}]}]}\n---\n"
    )
    boxes = [(1, [4.0, 6.0, 20.0, 16.5]), (0, [1.0, 2.0, 9.0, 9.0])]
    rows: list[dict[str, Any]] = [{"path": "x/1.jpg", "boxes": boxes}, {"boxes": []}]
    files: Files = {
        "set/README.md": card.encode(),
        "set/a.parquet": box_table(rows, features=False),
        "set/b/c.parquet": box_table([{"image": jpeg(7), "path": "7"}], features=False),
        "set/load.py": b"raise SystemExit('run')",
        "set/assets/preview.png": jpeg(9),
    }
    dataset = read(tmp_path, files)
    assert (dataset.format, dataset.kind, dataset.class_order) == ("parquet", "detection", ("ball", "cube"))
    found = {item.image.name: (item.split, item.boxes, item.annotation) for item in dataset.items}
    assert list(found) == ["7.jpg", "train/0000001.jpg", "x/1.jpg"], "a path of the row; else a number"
    assert found["train/0000001.jpg"] == ("train", (), "set/a.parquet"), "no objects: background"
    split, read_boxes, _ = found["x/1.jpg"]
    assert (split, [box.label for box in read_boxes]) == ("train", ["cube", "ball"])
    assert read_boxes[0][1:5] == (4000, 6000, 24000, 22500)
    codes = {each.code: each for each in dataset.findings}
    assert set(codes) == {"parquet-path-made", "files-left-out"}
    assert (codes["parquet-path-made"].path, codes["parquet-path-made"].line) == ("set/a.parquet", 2)
    assert "2 files left out" in codes["files-left-out"].detail


def test_errors_of_rows_name_the_file_and_the_row(tmp_path: Path) -> None:
    good = (0, [1.0, 2.0, 30.0, 40.0])
    rows: list[dict[str, Any]] = [
        {"boxes": [good], "path": "a.jpg"},
        {"boxes": [good], "image": None},
        {"boxes": [(0, [1.0, float("nan"), 3.0, 4.0])], "path": "b.jpg"},
        {"boxes": [(7, [1.0, 2.0, 3.0, 4.0])], "path": "c.jpg"},
        {"boxes": [(0, [1.0, 2.0, 3.0])], "path": "d.jpg"},
    ]
    dataset = read(tmp_path, {TRAIN: box_table(rows)})
    found = {(each.code, each.path, each.line) for each in dataset.findings}
    assert found == {
        ("image-missing", TRAIN, 2),
        ("box-not-a-number", TRAIN, 3),
        ("class-id-unknown", TRAIN, 4),
        ("box-missing", TRAIN, 5),
    }
    assert dataset.broken == {"b.jpg", "c.jpg", "d.jpg"}
    assert {item.split for item in dataset.items} == {None}, "one part alone is no split"


def test_classes_keep_the_order_of_their_numbers_and_rows_without_one_have_none(tmp_path: Path) -> None:
    labels, names = [2, 0, -1, None], ("sit", "hop", "fall")
    dataset = read(tmp_path, {TRAIN: table(labels, names=names), VALIDATION: table([0], names=names, first=4)})
    assert (dataset.format, dataset.class_order) == ("parquet-classes", ("sit", "fall"))
    assert sorted(item.label or "" for item in dataset.items) == ["", "", "fall", "sit", "sit"]


def test_tables_are_accepted_before_they_are_sent(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "data.zip", {TRAIN: b"", VALIDATION: b"", "README.md": b"", "preview.png": b""})
    with archive.open("rb") as file:
        found = inspect_archive_end(file, archive.stat().st_size)
    assert (found["accepted"], found["format"]) == (True, {"name": "parquet", "why": "2 Parquet files"})


@pytest.mark.parametrize(
    "stated",
    [
        "../../etc/passwd.jpg",
        "/etc/a.jpg",
        "a/../b.jpg",
        "C:\\x.jpg",
        "a\0.jpg",
        "",
        ".git/a.jpg",
        "x" * 5000,
        "a//b.jpg",
    ],
)
def test_no_path_of_a_row_leads_anywhere(stated: str) -> None:
    paths = ImagePaths()
    assert paths.of(stated, "train", "png", table=TRAIN, row=1) == "train/0000001.png"
    assert [(each.code, each.line) for each in paths.findings()] == [("parquet-path-made", 1)]


def test_a_path_belongs_to_one_image_and_no_image_is_a_folder() -> None:
    paths = ImagePaths()
    stated = ["a.jpg", "a.jpg", "a.jpg", "a.jpg/b.png", "c/d.jpg", "c", "train/0000001.jpg"]
    made = [paths.of(each, "train", "jpg", table=TRAIN, row=row) for row, each in enumerate(stated, start=1)]
    expected = ["a.jpg", "train/a.jpg", "train/0000001.jpg", "train/a.jpg/b.png", "c/d.jpg", "c.jpg"]
    assert made[:3] == expected[:3] and made[4:6] == expected[4:]
    assert len(set(made)) == len(made)
    folders = {name.rpartition("/")[0] for name in made}
    assert folders.isdisjoint(made)
    [note] = paths.findings()
    assert (note.line, "4 images" in note.detail) == (2, True)


def test_a_table_of_something_else_is_refused_or_left_alone(tmp_path: Path) -> None:
    other = written(pa.table({"text": ["a"], "label": ["b"]}))
    (tmp_path / "alone").mkdir()
    finding = refused(tmp_path / "alone", {TRAIN: other})
    assert (finding.code, "its columns are text, label" in finding.detail) == ("parquet-invalid", True)
    files: Files = {f"{name}/{at}.jpg": jpeg(at) for name in ("cat", "dog") for at in range(2)}
    dataset = read(tmp_path, {**files, "meta/labels.parquet": other})
    assert dataset.format == "folders" and len(dataset.items) == 4
    assert not holds_tables([*files, "cat/labels.parquet"]) and not holds_tables(files)
    assert not holds_tables([*(f"a/{at}.jpg" for at in range(21)), TRAIN])


def test_a_table_that_breaks_in_the_middle_names_its_row(tmp_path: Path) -> None:
    whole = table([0, 1] * 12, label="label")
    place = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(2).column(0).dictionary_page_offset
    broken = whole[:place] + b"\xff" * 50 + whole[place + 50 :]
    finding = refused(tmp_path, {TRAIN: broken})
    assert (finding.code, finding.path) == ("parquet-invalid", TRAIN)
    assert finding.line == 17, "the first of the group of eight that cannot be read"


def test_two_lists_of_classes_are_refused(tmp_path: Path) -> None:
    finding = refused(tmp_path, {TRAIN: table([0]), VALIDATION: table([0], names=("a", "b", "c"), first=1)})
    assert (finding.path, "Its classes are others than those of" in finding.detail) == (VALIDATION, True)


def test_a_hundred_million_boxes_in_a_few_kilobytes_are_refused_before_they_are_made(tmp_path: Path) -> None:
    rows = 100_000_000
    # Null boxes: their levels are a single run.
    kind = pa.list_(pa.list_(pa.float32()))
    nulls = pa.ListArray.from_arrays([0, rows], pa.nulls(rows, pa.list_(pa.float32()))).cast(kind)
    objects = pa.StructArray.from_arrays([nulls], ["bbox"])
    images = pa.array([{"bytes": jpeg(1), "path": None}], IMAGE_TYPE)
    content = written(pa.table({"image": images, "objects": objects}))
    assert len(content) < 100_000
    del nulls, objects
    finding = refused(tmp_path, {TRAIN: content})
    assert finding.path == TRAIN and finding.code in ("boxes-too-many", "parquet-invalid"), (
        "by its count, or its memory"
    )


def test_declared_and_actual_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = table([0] * 100, label="label", images=[jpeg(1) + bytes(50_000)] * 100)
    assert len(same) < 1_500_000, "a dictionary has it once for each group"
    with pytest.raises(unpack_process._Refused) as large:
        unpacked(tmp_path, same, max_bytes=2_000_000)
    assert large.value.refusal.code == "archive-too-large" and large.value.refusal.line is not None
    monkeypatch.setattr(tables, "GROUP_BYTES", 100_000)
    with pytest.raises(unpack_process._Refused, match="row group") as group:
        unpacked(tmp_path, table([0], images=[bytes(200_000)]))
    assert group.value.refusal.path == TRAIN


def test_a_process_that_dies_or_writes_anything_rejects_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho x >> {runs}\necho '{{' > $(dirname $3)/refused.json\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(uploaded_tables.sys, "executable", str(script))
    finding = refused(tmp_path, {TRAIN: table([0, 1])})
    assert (finding.code, "status -11" in finding.detail) == ("parquet-invalid", True)
    assert runs.read_text() == "x\nx\n", "once more: it may have been killed for want of memory"


def test_a_table_that_datasets_writes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    import datasets

    objects = [
        {"bbox": datasets.List(datasets.Value("float32"), length=4), "category": datasets.ClassLabel(names=["a", "b"])}
    ]
    features = datasets.Features({"image": datasets.Image(), "objects": objects})
    rows = {
        "image": [{"bytes": jpeg(at), "path": None} for at in range(3)],
        "objects": [[{"bbox": [1.0, 2.0, 30.0, 20.0], "category": at % 2}] for at in range(3)],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "0.parquet")
    assert pq.read_schema(io.BytesIO((tmp_path / "0.parquet").read_bytes())).metadata
    dataset = read(tmp_path, {TRAIN: (tmp_path / "0.parquet").read_bytes()})
    assert sorted(box.label for item in dataset.items for box in item.boxes) == ["a", "a", "b"]
