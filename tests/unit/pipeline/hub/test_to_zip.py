"""Files of a hub become class folders: what is taken, what is left out, what is refused."""

import errno
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_CLASSES
from pipeline.__main__ import run
from pipeline.hub import tables
from pipeline.hub.card import card_of
from pipeline.hub.columns import columns_of
from pipeline.hub.folder_names import folders_of
from pipeline.hub.to_zip import ImportedZip, images_to_zip, tables_to_zip
from pipeline.process.progress import StageReporter
from pipeline.process.specs import FetchedFile
from tests.builders.hub_sets import ACTIONS, IMAGE_TYPE, action_set, jpeg, png, table, written


def zipped(
    folder: Path, *contents: bytes, splits: tuple[str, ...] = (), card: Any = None, **options: Any
) -> ImportedZip:
    """As `folder/made.zip`; the tables are of `splits`, or all of train."""
    folder.mkdir(exist_ok=True)
    files: list[FetchedFile] = []
    for number, content in enumerate(contents):
        (folder / f"{number}.parquet").write_bytes(content)
        files.append(
            FetchedFile((splits or ("train",) * 9)[number], f"data/{number}.parquet", folder / f"{number}.parquet")
        )
    given: dict[str, Any] = {"image": None, "label": None, "max_bytes": 10**9} | options
    return tables_to_zip(files, folder / "made.zip", card or {}, steps=StageReporter(), **given)


def names_in(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "made.zip") as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_each_row_becomes_an_image_in_its_class_folder(tmp_path: Path) -> None:
    made = zipped(tmp_path, table([0, 1, 2, 1]), table([2, 0], images=[png(1), jpeg(9)], first=4))
    assert made == ImportedZip(6, 0, ("calling", "clapping", "running"))
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert archive.namelist()[:2] == ["calling/0000001.jpg", "clapping/0000002.jpg"]
        assert archive.namelist()[4:] == ["running/0000005.png", "calling/0000006.jpg"]
        assert archive.read("calling/0000001.jpg") == jpeg(0), "the bytes as they are"


def test_class_names_in_another_order_than_their_own_come_with_that_order(tmp_path: Path) -> None:
    made = zipped(tmp_path, table([0, 1, 3, 1], names=("sit", "hop/run", "none", "fall")))
    assert (made.images, made.left_out) == (4, 0), "the order is no image"
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert archive.read("class_order.txt").decode().splitlines() == ["sit", "hop_run", "fall"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        zipped(folder, table([0, 1, 2]), table([2, 1, 0], first=3))
    assert (tmp_path / "a" / "made.zip").read_bytes() == (tmp_path / "b" / "made.zip").read_bytes()


def test_several_splits_are_kept_as_folders(tmp_path: Path) -> None:
    zipped(tmp_path, table([0, 1]), table([1], first=2), table([0], first=3), splits=("train", "validation", "test"))
    assert names_in(tmp_path) == [
        "train/calling/0000001.jpg",
        "train/clapping/0000002.jpg",
        "val/clapping/0000003.jpg",
        "test/calling/0000004.jpg",
    ]


def test_rows_without_a_label_or_an_image_are_left_out_and_counted(tmp_path: Path) -> None:
    made = zipped(tmp_path, table([0, -1, None, 1], images=[jpeg(0), jpeg(1), jpeg(2), None]))
    assert (made.images, made.left_out) == (1, 3)
    assert names_in(tmp_path) == ["calling/0000001.jpg"]


def test_labels_may_be_texts_and_names_may_come_from_the_card(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a", table(["jump rope", "sit", "10", "9"], names=None))
    assert made.classes == ("10", "9", "jump rope", "sit")
    made = zipped(tmp_path / "b", table([0, 1], metadata=False), card={"labels": ["sitting", "standing"]})
    assert made.classes == ("sitting", "standing")


def test_a_table_written_by_datasets_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    import datasets

    features = datasets.Features({"image": datasets.Image(), "labels": datasets.ClassLabel(names=list(ACTIONS))})
    rows = {"image": [{"bytes": jpeg(n), "path": None} for n in range(3)], "labels": [0, 2, -1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "0.parquet")
    made = zipped(tmp_path, (tmp_path / "0.parquet").read_bytes())
    assert made == ImportedZip(2, 1, ("calling", "running"))


NUMBERS = pa.table({"image": pa.array([{"bytes": b"x", "path": None}], IMAGE_TYPE), "label": pa.array([1])})
TWO = pa.table({name: pa.array([{"bytes": b"x", "path": None}], IMAGE_TYPE) for name in ("left", "right")})


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        (
            [written(pa.table({"text": ["a"], "label": ["b"]}))],
            {},
            "no column of images; its columns are text, label",
        ),
        ([written(NUMBERS)], {}, "no column of labels with class names"),
        ([written(TWO.append_column("label", pa.array(["a"])))], {}, "several columns of images: left, right"),
        ([table([0])], {"label": "pose"}, "column pose has no labels"),
        ([table([0]), table([0], names=("a", "b", "c"))], {}, "different class names"),
        ([table([7])], {}, "A label is 7, but the dataset has 3 class names"),
        ([b"PAR1 but not really PAR1"], {}, "data/0.parquet cannot be read as parquet"),
        ([table([0, 1])[:-500] + table([0, 1])[-400:]], {}, "data/0.parquet cannot be read as parquet"),
        ([table([0, 1, 2])], {"max_bytes": 2000}, "more than 2000 bytes"),
    ],
    ids=["no images", "no names", "two of them", "no such", "two lists", "no such class", "no table", "cut", "large"],
)
def test_a_dataset_that_cannot_be_imported_is_refused_with_the_reason(
    tmp_path: Path, files: list[bytes], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HubSetUnusable, match=reason):
        zipped(tmp_path, *files, **options)


def test_a_row_group_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 1_000_000)
    bomb = table([0], images=[bytes(2_000_000)])
    assert len(bomb) < 200_000
    with pytest.raises(HubSetUnusable, match="row group"):
        zipped(tmp_path, bomb)


def test_one_of_several_columns_can_be_named(tmp_path: Path) -> None:
    two = TWO.append_column("label", pa.array(["a"])).append_column("coarse", pa.array(["b"]))
    assert zipped(tmp_path, written(two), image="right", label="coarse").classes == ("b",)


@pytest.mark.parametrize("name", ["image", "img", "picture", "photo"])
def test_a_binary_column_with_a_usual_name_is_the_image_column(name: str) -> None:
    schema = pa.schema([(name, pa.binary()), ("label", pa.string())])
    assert columns_of(schema, {}, image=None, label=None).image == name


def test_class_names_become_safe_and_unique_folders() -> None:
    hostile = ["a/b", "a\\b", "..", "", ".hidden", "CON\0", "Ä", "Run", "run", "x" * 500, "C:x", "end. ", "__MACOSX"]
    folders = folders_of(hostile)
    assert folders["Run"] == "Run" and folders["run"] == "run~2"
    assert len({folder.casefold() for folder in folders.values()}) == len(hostile)
    for folder in folders.values():
        assert folder and "/" not in folder and "\\" not in folder and folder.isprintable() and len(folder) < 130
        assert not folder.startswith((".", "__MACOSX")) and not folder.endswith((".", " "))
    assert folders_of(reversed(hostile)) == folders


def test_images_in_folders_keep_their_classes(tmp_path: Path) -> None:
    names = ["train/jump rope/1.JPG", "train/sit/a/2.jpg", "train/loose.jpg"]
    files = []
    for number, name in enumerate(names):
        (tmp_path / str(number)).write_bytes(jpeg(number))
        files.append(FetchedFile("train", name, tmp_path / str(number)))
    made = images_to_zip(files, tmp_path / "made.zip", max_bytes=10**6, steps=StageReporter())
    assert made == ImportedZip(2, 1, ("jump rope", "sit"))
    assert names_in(tmp_path) == ["jump rope/0000001.jpg", "sit/0000002.jpg"]


def test_a_folder_named_images_is_not_a_class(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    names = ["train/cat/images/1.jpg", "train/dog/images/1.jpg", "train/dog/images/2.jpg"]
    files = [FetchedFile("train", name, tmp_path / "1.jpg") for name in names]
    assert images_to_zip(files, tmp_path / "made.zip", max_bytes=10**6, steps=StageReporter()) == ImportedZip(
        3, 0, ("cat", "dog")
    )


def test_many_class_names_with_one_prefix_are_mapped_quickly_and_too_many_are_refused(tmp_path: Path) -> None:
    names = [f"{'a' * 150} {number}" for number in range(MAX_CLASSES)]
    began = time.process_time()
    assert len(set(folders_of(names).values())) == MAX_CLASSES
    assert time.process_time() - began < 5, "the square of their number took minutes"
    with pytest.raises(HubSetUnusable, match="more than 10000 class names"):
        folders_of([*names, "one more"])


def test_more_files_than_a_process_may_open_are_read(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    several = [table(["sit", "stand"], names=None, images=[b"\xff\xd8\xff"] * 2)] * 40
    taken = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 20, limits[1]))
    try:
        assert zipped(tmp_path, *several, splits=("train",) * 40).images == 80
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(errno.EMFILE, OSError), (errno.EIO, OSError), (errno.EINVAL, HubSetUnusable), (None, HubSetUnusable)],
)
def test_an_error_of_the_system_is_not_blamed_on_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None, raised: type[Exception]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, "refused") if number else OSError("refused")

    monkeypatch.setattr(pq, "ParquetFile", refused)
    with pytest.raises(raised):
        zipped(tmp_path, table([0]))


def test_a_local_repository_becomes_a_zip_and_its_scripts_are_not_run(tmp_path: Path) -> None:
    for name, content in action_set().items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    command = [sys.executable, "-m", "pipeline", "import", str(tmp_path / "set"), str(tmp_path / "made.zip")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"24 images of 3 classes are in {tmp_path / 'made.zip'}\n"
    assert len(names_in(tmp_path)) == 24
    done = subprocess.run([*command, "--splits", "extra"], capture_output=True, text=True, check=False)
    assert (done.returncode, "for the split extra" in done.stdout) == (1, True)


def test_on_the_command_line_the_card_names_files_and_classes(tmp_path: Path) -> None:
    names = "{name: labels, dtype: {class_label: {names: {'0': sitting, '1': standing}}}}"
    files = "[{config_name: default, data_files: [{split: train, path: data/a.parquet}]}]"
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text(f"---\nconfigs: {files}\ndataset_info: {{features: [{names}]}}\n---\n# It\n")
    for name in ("a", "b"):
        (tmp_path / "data" / f"{name}.parquet").write_bytes(table([0, 1, 1], metadata=False))
    assert run(["import", str(tmp_path), str(tmp_path / "made.zip")]) == 0
    assert names_in(tmp_path) == ["sitting/0000001.jpg", "standing/0000002.jpg", "standing/0000003.jpg"]
    for refused in ("a: [", "a: &b [1]\nc: *b", "a: 2026-99-99", "? {}\n: 1", "[" * 5000):
        (tmp_path / "README.md").write_text(f"---\n{refused}\n---\n")
        with pytest.raises(HubSetUnusable, match="is not valid YAML"):
            card_of(tmp_path)
    (tmp_path / "README.md").write_text("# no front matter")
    assert card_of(tmp_path) == {}
