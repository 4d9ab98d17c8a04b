"""The tree that `datasets.load_from_disk` reads, and `load_dataset`: pictures with the class of each, in Arrow files.

    classes.json                          the names in stored order
    data/dataset_dict.json                the splits: train, validation, test; one without pictures is not there
    data/train/data-00000-of-00001.arrow  image (the bytes of the file), label (ClassLabel), path, sha256
    data/train/{state,dataset_info}.json
    README.md                             where `load_dataset` finds the splits

Written batch by batch, and not by `save_to_disk`: that needs all of it in files of its own first, and gives each split
a fingerprint drawn by chance.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.dataset import Picture
from pipeline.images import convert
from pipeline.layouts import MANIFEST_FILE, TAR_FILE, TREE_FOLDER
from pipeline.manifest import manifest_parts
from pipeline.tarball import Digest, write_tar
from pipeline.trainers.huggingface import go_offline

if TYPE_CHECKING:
    from pipeline.examine import Examined
    from pipeline.steps import Steps

SPLITS = {"train": "train", "val": "validation", "test": "test"}  # ours -> theirs
SHARD_BYTES = (
    400 * 1024 * 1024
)  # of one Arrow file, as they came: `save_to_disk` has 500 MB, a tar's member at most 8 GiB
_BATCH_BYTES, _BATCH_ROWS = 8 * 1024 * 1024, 256  # in memory at once; a picture larger than this is alone in its batch


def write_set(done: "Examined", out: Path, steps: "Steps") -> Digest:
    """See `pipeline.layouts.LayoutModule`. Pictures that trainers would read otherwise are written anew as PNG."""
    tree = out / TREE_FOLDER
    scratch = out / "config"  # all that the library may write, were it to
    go_offline(scratch)
    try:
        _write_tree(done, tree, scratch, steps)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return write_tar(tree, out / TAR_FILE, steps.tick)


def _write_tree(done: "Examined", tree: Path, scratch: Path, steps: "Steps") -> None:
    import datasets  # here alone, and after `go_offline`: it takes a second, and reads the environment

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=done.classes),
            "path": datasets.Value("string"),
            "sha256": datasets.Value("string"),
        }
    )
    data = tree / "data"
    data.mkdir(parents=True)
    parts = {theirs: [p for p in done.pictures if done.splits[p.path] == ours] for ours, theirs in SPLITS.items()}
    parts = {split: pictures for split, pictures in parts.items() if pictures}
    written = 0
    for split, pictures in parts.items():
        folder = data / split
        folder.mkdir()
        names = []
        shards = list(_shards(pictures))
        for number, shard in enumerate(shards):
            names.append(f"data-{number:05d}-of-{len(shards):05d}.arrow")
            for rows in _write_shard(shard, features.arrow_schema, folder / names[-1], scratch):
                written += rows
                steps.tick(written, len(done.pictures))
        datasets.DatasetInfo(features=features).write_to_directory(str(folder))
        _write_json(folder / "state.json", _state(split, names, done.digests.fingerprint))
    _write_json(data / "dataset_dict.json", {"splits": list(parts)})
    _write_json(tree / "classes.json", done.classes)
    (tree / "README.md").write_text(_card(list(parts)), encoding="utf-8")
    with (tree / MANIFEST_FILE).open("wb") as manifest:
        manifest.writelines(manifest_parts(done.pictures, done.classes, done.splits, kind=done.kind))


def _write_shard(pictures: list[Picture], schema: Any, path: Path, scratch: Path) -> Iterator[int]:
    """Yields how many rows each batch had."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for rows in _batches(pictures, scratch):
            stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            yield len(rows)


def _batches(pictures: list[Picture], scratch: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for picture in pictures:
        content = _content(picture, scratch)
        if rows and (size + len(content) > _BATCH_BYTES or len(rows) == _BATCH_ROWS):
            yield rows
            rows, size = [], 0
        image = {"bytes": content, "path": None}
        rows.append({"image": image, "label": picture.label, "path": picture.path, "sha256": picture.sha256})
        size += len(content)
    if rows:
        yield rows


def _shards(pictures: list[Picture]) -> Iterator[list[Picture]]:
    """By the sizes of the files, so that their number is known before the first one is written."""
    shard: list[Picture] = []
    size = 0
    for picture in pictures:
        one = _bytes_of(picture)
        if shard and size + one > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(picture)
        size += one
    if shard:
        yield shard


def _bytes_of(picture: Picture) -> int:
    return Path(picture.file).stat().st_size


def _content(picture: Picture, scratch: Path) -> bytes:
    """The bytes that trainers get. The file is gone then: the disk has room for the set twice, and the tar is one."""
    file = Path(picture.file)
    if not picture.convert:
        content = file.read_bytes()
    else:
        png = scratch / "converted.png"
        convert(file, png)
        content = png.read_bytes()
    file.unlink()
    return content


def _state(split: str, names: list[str], fingerprint: str) -> dict[str, Any]:
    """As `save_to_disk` writes it; but its fingerprint, the name of caches, says what is in there."""
    return {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": hashlib.sha256(f"{fingerprint}/{split}".encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }


def _card(splits: list[str]) -> str:
    files = "".join(f"  - split: {split}\n    path: data/{split}/*.arrow\n" for split in splits)
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
