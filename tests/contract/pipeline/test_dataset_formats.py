"""The contract of every dataset format. A new format adds a line to SAMPLES."""

import re
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.decode.inspect_ahead import inspect_all
from pipeline.formats import DatasetFormat, load_formats, read_dataset
from pipeline.hub.uploaded_tables import extract_dataset, plain_archive
from pipeline.params.formats import CATALOGUE
from pipeline.process.progress import StageReporter
from pipeline.repair.fixes import repair_items
from pipeline.repair.rewrite_zip import repair
from tests.builders.hub_sets import parquet_files
from tests.builders.listed import (
    boxes_read,
    choice_files,
    class_table_files,
    close,
    csv_files,
    cub_files,
    cvat_files,
    jsonl_files,
    label_studio_files,
    labelme_files,
    pet_files,
)
from tests.builders.revisions import revision_files
from tests.builders.voc import Files, image_bytes, voc_files, zip_files
from tests.builders.yolo_coco import coco_files, yolo_files

SAMPLES: dict[str, Files] = {
    "voc": voc_files(images=4),
    "yolo": yolo_files(images=4),
    "coco": coco_files(images=4),
    "cvat": cvat_files(),
    "labelme": labelme_files(),
    "label-studio": label_studio_files(),
    "csv": csv_files(),
    "jsonl": jsonl_files(),
    "table": class_table_files({f"{n % 2}/{n}.jpg": ("ball", "cube")[n // 2] for n in range(4)}),
    "label-studio-choices": choice_files({f"{n}.jpg": ("ball", "cube")[n % 2] for n in range(4)}),
    "cub": cub_files(),
    "oxford-pet": pet_files(4, trimaps=False),
    "folders": {f"set/{name}/{n}.JPG": image_bytes(seed=n) for n, name in enumerate(("cat", "dog", "cat", "dog"))},
    "parquet": parquet_files("detection"),
    "parquet-classes": parquet_files("classification"),
    "darkroom": revision_files("detection", images=4),
    "darkroom-classes": revision_files("classification", images=4),
}
NOTHING: Files = {"notes/a.docx": b"no data", "nested.zip": b"PK"}


def _source(tmp_path: Path, files: Files) -> ExtractedArchive:
    tmp_path.mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return _extracted(archive, Path(tempfile.mkdtemp(dir=tmp_path)))


def _extracted(archive: Path, into: Path) -> ExtractedArchive:
    return extract_dataset(archive, into, threads=1, steps=StageReporter())[0]


@pytest.fixture(params=load_formats(), ids=lambda module: module.NAME)
def dataset_format(request: pytest.FixtureRequest) -> DatasetFormat:
    found: DatasetFormat = request.param
    return found


def test_the_catalogue_and_the_samples_agree() -> None:
    assert [module.NAME for module in load_formats()] == list(SAMPLES) == list(CATALOGUE)


def test_the_catalogue_describes_how_rotated_images_are_read() -> None:
    silent = [
        name for name, page in CATALOGUE.items() if not {"EXIF", "upright"} <= set(re.findall(r"\w+", page.description))
    ]
    assert silent == []


def test_a_format_finds_its_own_sample_in_any_folder(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    sample = SAMPLES[dataset_format.NAME]
    assert dataset_format.matches(_source(tmp_path, sample)) is None
    deep = {f"a/b c/{name}": content for name, content in sample.items()}
    source = _source(tmp_path, deep)
    assert dataset_format.matches(source) is None
    assert read_dataset(source, []).format == dataset_format.NAME


def test_a_repaired_archive_is_read_as_the_same_dataset(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    """`rewrite` writes what `read` reads."""
    _assert_same_after_a_repair(tmp_path, dataset_format, dict(SAMPLES[dataset_format.NAME]))


def test_a_repaired_archive_keeps_a_split_that_lists_give(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    tables = {name: text for name, text in SAMPLES[dataset_format.NAME].items() if "train_test_split" not in name}
    items = read_dataset(_source(tmp_path, tables), []).items
    parts = {item.image.name: item.split or ("val", "train", "train", "test")[at] for at, item in enumerate(items)}
    lists = {
        f"{part}.txt": "".join(f"{name}\n" for name in parts if parts[name] == part).encode()
        for part in set(parts.values())
    }
    _assert_same_after_a_repair(tmp_path, dataset_format, tables | lists)


def test_what_is_written_anew_is_read_as_it_was(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    """`rewrite` of items that are all changed, of which it copies nothing."""
    source = _source(tmp_path, SAMPLES[dataset_format.NAME])
    before = read_dataset(source, [])
    facts = inspect_all([item.image for item in before.items], processes=1, tick=lambda *_: None)
    kept = [item._replace(changed=True) for item in repair_items(source, before, facts).kept]
    images = {item.image.name: item.image.byte_range.read() for item in before.items}
    after = read_dataset(_source(tmp_path / "again", images | dict(dataset_format.rewrite(source, kept))), [])
    assert after.format == dataset_format.NAME and not after.broken
    assert close(boxes_read(after), boxes_read(before))
    assert [(item.label, item.split) for item in after.items] == [(item.label, item.split) for item in before.items]


def _assert_same_after_a_repair(tmp_path: Path, dataset_format: DatasetFormat, sample: Files) -> None:
    before = read_dataset(_source(tmp_path, sample), [])
    target = tmp_path / "repaired.zip"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    archive = plain_archive(tmp_path / "data.zip", scratch, StageReporter())
    repair(archive, target, scratch, processes=1, steps=StageReporter())
    into = tmp_path / "again"
    into.mkdir()
    source = _extracted(target, into)
    assert dataset_format.matches(source) is None
    after = read_dataset(source, [])
    assert after.format == dataset_format.NAME and not after.broken
    assert close(boxes_read(after), boxes_read(before))
    assert [(item.label, item.split) for item in after.items] == [(item.label, item.split) for item in before.items]


def test_a_format_states_what_is_missing(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    missed = dataset_format.matches(_source(tmp_path, NOTHING))
    assert missed and missed.endswith(".")


def test_reading_is_deterministic_and_in_the_order_of_names(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    source = _source(tmp_path, SAMPLES[dataset_format.NAME])
    first, second = dataset_format.read(source), dataset_format.read(source)
    assert first == second
    names = [item.image.name for item in first.items]
    assert names == sorted(names) and len(names) == 4
    assert first.format == dataset_format.NAME


def test_an_unknown_archive_is_refused_with_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as rejected:
        read_dataset(_source(tmp_path, NOTHING), [])
    assert rejected.value.problem.slug == "format-unknown"
    assert set(rejected.value.problem.facts["tried"]) == set(SAMPLES)


def test_formats_are_modules(dataset_format: DatasetFormat) -> None:
    assert isinstance(dataset_format, ModuleType)
