"""The tree that `datasets.load_from_disk` reads, and `load_dataset`: images with the class of each, in Arrow files.

    classes.json                          the names in stored order
    data/dataset_dict.json                the splits: train, validation, test; one without images is not there
    data/train/data-00000-of-00001.arrow  image (the bytes of the file), label (ClassLabel), path, sha256
    data/train/{state,dataset_info}.json
    README.md                             where `load_dataset` finds the splits

Written batch by batch, and not by `save_to_disk`: that needs all of it in files of its own first, and gives each split
a fingerprint drawn by chance.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.archive.byte_range import ByteRange
from pipeline.dataset.model import HUGGINGFACE_SPLITS, DatasetImage
from pipeline.layouts import LAYOUTS, MANIFEST_FILE, TAR_FILE
from pipeline.layouts.arrow import arrow_rows
from pipeline.layouts.tarball import Place, TarWriter, open_tar
from pipeline.process.huggingface_env import go_offline

if TYPE_CHECKING:
    from pipeline.dataset.validated import ValidatedDataset
    from pipeline.process.progress import StageReporter

SHARD_BYTES = LAYOUTS["classification"].scratch_bytes  # of one Arrow file
_BATCH_BYTES, _BATCH_ROWS = 8 * 1024 * 1024, 256  # in memory at once; an image larger than this is alone in its batch


def write_set(
    dataset: "ValidatedDataset", out: Path, steps: "StageReporter", placed: Callable[[dict[str, Place]], None]
) -> int:
    """See `pipeline.layouts.LayoutModule`. Images are written as in the layout yolo."""
    # For whatever the library writes, and for one Arrow file at a time.
    with tempfile.TemporaryDirectory(prefix="writing-", dir=out) as folder:
        scratch = Path(folder)
        go_offline(scratch)
        with open_tar(out / TAR_FILE) as tar:
            placed(_write_members(dataset, tar, scratch, steps))
            return tar.end()


def _write_members(
    dataset: "ValidatedDataset", tar: TarWriter, scratch: Path, steps: "StageReporter"
) -> dict[str, Place]:
    """In the order of their names. Returns the place of each image by its path."""
    import datasets  # after `go_offline`, since it reads the environment; importing it takes a second

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=dataset.classes),
            "path": datasets.Value("string"),
            "sha256": datasets.Value("string"),
        }
    )
    datasets.DatasetInfo(features=features).write_to_directory(str(scratch))
    info = (scratch / "dataset_info.json").read_bytes()
    parts = {
        theirs: [p for p in dataset.images if dataset.splits[p.path] == ours]
        for ours, theirs in HUGGINGFACE_SPLITS.items()
    }
    parts = {split: images for split, images in parts.items() if images}
    tar.add("README.md", _card(list(parts)).encode())
    tar.add("classes.json", _json(dataset.classes))
    tar.add("data/dataset_dict.json", _json({"splits": list(parts)}))
    written = 0
    places: dict[str, Place] = {}
    for split, images in sorted(parts.items()):
        names = []
        shards = list(_shards(images))
        for number, shard in enumerate(shards):
            names.append(f"data-{number:05d}-of-{len(shards):05d}.arrow")
            for rows in _write_shard(shard, features.arrow_schema, scratch / "shard", dataset.wait_for):
                written += rows
                steps.tick(written, len(dataset.images))
            name = f"data/{split}/{names[-1]}"
            start = _add_file(tar, name, scratch / "shard")
            for row, each in enumerate(arrow_rows(scratch / "shard")):
                places[each.path] = Place(name, start + each.at, each.bytes, row)
        tar.add(f"data/{split}/dataset_info.json", info)
        tar.add(f"data/{split}/state.json", _json(_state(split, names, dataset.digests.fingerprint)))
    _add_file(tar, MANIFEST_FILE, dataset.manifest)
    return places


def _add_file(tar: TarWriter, name: str, path: Path) -> int:
    at = tar.add_range(name, ByteRange(str(path), 0, path.stat().st_size))
    tar.flush()  # the next Arrow file takes its place
    return at


def _write_shard(
    images: list[DatasetImage], schema: Any, path: Path, wait_for: Callable[[DatasetImage], None]
) -> Iterator[int]:
    """Yields how many rows each batch had."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for rows in _batches(images, wait_for):
            stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            yield len(rows)


def _batches(images: list[DatasetImage], wait_for: Callable[[DatasetImage], None]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for image in images:
        wait_for(image)
        content = image.written.read()
        if rows and (size + len(content) > _BATCH_BYTES or len(rows) == _BATCH_ROWS):
            yield rows
            rows, size = [], 0
        cell = {"bytes": content, "path": None}
        rows.append({"image": cell, "label": image.label, "path": image.path, "sha256": image.sha256})
        size += len(content)
    if rows:
        yield rows


def _shards(images: list[DatasetImage]) -> Iterator[list[DatasetImage]]:
    """Cut by the sizes of the images, so that the number of shards is known before the first one is written."""
    shard: list[DatasetImage] = []
    size = 0
    for image in images:
        one = image.written.size
        if shard and size + one > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(image)
        size += one
    if shard:
        yield shard


def _state(split: str, names: list[str], fingerprint: str) -> dict[str, Any]:
    """As `save_to_disk` writes it; but the fingerprint, by which caches are named, depends on the content."""
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


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
