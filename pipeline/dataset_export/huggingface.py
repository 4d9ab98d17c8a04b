"""What a Hugging Face hub takes: Parquet files with the bytes of the images, and a README with the card's YAML.

    data/train-00000-of-00002.parquet    image, label (ClassLabel) or objects (bbox, category, difficult), and the path,
                                         the sha256 and the size of each image

`bbox` is left, top, width, height in pixels of the upright image, as in COCO.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.model import HUGGINGFACE_SPLITS
from pipeline.dataset_export.images import check_bytes
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.pixels import px
from pipeline.dataset_export.readme import Readme
from pipeline.dataset_export.source import ExportSource
from pipeline.index.schema import IndexedImage
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter

SHARD_BYTES = 400 * 1024 * 1024  # of the images: the hub advises files below 500 MB
_GROUP_BYTES, _GROUP_ROWS = 16 * 1024 * 1024, 100  # in memory at once; the hub's viewer reads groups of 100
_USE = """\
Unpacked, `datasets.load_dataset(folder)` reads it, and `huggingface-cli upload-large-folder` publishes it. `path` and
`sha256` are those of the uploaded images: with `image` and {labels} they are the whole content of the dataset."""


def write(source: ExportSource, target: ZipWriter, *, arrange: Arrange, losses: Losses, steps: StageReporter) -> Readme:
    """See `pipeline.dataset_export.FormatWriter`."""
    del arrange  # the splits are files
    schema = _schema(source)
    steps.stage("writing-images")
    done = 0
    present = [split for split in HUGGINGFACE_SPLITS if split in set(source.splits.values())]
    for split in present:
        shards = list(_shards(source, split))
        images = (image for image in source.images() if image.split == split)
        for number, count in enumerate(shards):
            with tempfile.NamedTemporaryFile(dir=target.folder) as file:
                for rows in _write_shard(source, images, count, Path(file.name), schema, losses):
                    done += rows
                    steps.tick(done, source.count)
                name = f"data/{HUGGINGFACE_SPLITS[split]}-{number:05d}-of-{len(shards):05d}.parquet"
                target.add_file(name, Path(file.name))
    labels = "`objects`" if source.kind == "detection" else "`label`"
    return Readme(_USE.format(labels=labels), front=_front(source, present))


def _shards(source: ExportSource, split: str) -> Iterator[int]:
    """The number of images of each file."""
    count = size = 0
    for image in source.images():
        if image.split != split:
            continue
        one = source.contents(image).size
        if count and size + one > SHARD_BYTES:
            yield count
            count = size = 0
        count, size = count + 1, size + one
    yield count


def _write_shard(
    source: ExportSource,
    images: Iterator[IndexedImage],
    count: int,
    path: Path,
    schema: pa.Schema,
    losses: Losses,
) -> Iterator[int]:
    """Writes `count` of `images`. Yields how many rows each group has."""
    with pq.ParquetWriter(path, schema, compression="none", write_page_index=False) as writer:
        rows: list[dict[str, Any]] = []
        size = 0
        for image in islice(images, count):
            content = source.contents(image).read()
            check_bytes(source, image, hashlib.sha256(content).hexdigest(), losses)
            rows.append(_row(source, image, content))
            size += len(content)
            if len(rows) == _GROUP_ROWS or size >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                yield len(rows)
                rows, size = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            yield len(rows)


def _row(source: ExportSource, image: IndexedImage, content: bytes) -> dict[str, Any]:
    path = source.path_of(image)
    return {
        "image": {"bytes": content, "path": path},
        **({"objects": _objects(image)} if source.kind == "detection" else {"label": image.label}),
        "path": image.path,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
    }


def _objects(image: IndexedImage) -> dict[str, list[Any]]:
    return {
        "bbox": [[px(box.x1), px(box.y1), px(box.x2 - box.x1), px(box.y2 - box.y1)] for box in image.boxes],
        "category": [box.class_id for box in image.boxes],
        "difficult": [box.difficult for box in image.boxes],
    }


def _schema(source: ExportSource) -> pa.Schema:
    """With the features in the metadata, where the library `datasets` looks for them."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    if source.kind == "detection":
        boxes = pa.list_(pa.list_(pa.float64()))
        objects = pa.struct({"bbox": boxes, "category": pa.list_(pa.int64()), "difficult": pa.list_(pa.bool_())})
        columns = {"image": image, "objects": objects}
    else:
        columns = {"image": image, "label": pa.int64()}
    columns |= {"path": pa.string(), "sha256": pa.string(), "width": pa.int32(), "height": pa.int32()}
    features = json.dumps({"info": {"features": _features(source)}}, ensure_ascii=False)
    return pa.schema(columns, metadata={"huggingface": features})


def _features(source: ExportSource) -> dict[str, Any]:
    classes = {"names": source.classes, "_type": "ClassLabel"}
    if source.kind == "detection":
        labels: dict[str, Any] = {
            "objects": {
                "bbox": _sequence(_sequence(_value("float64"))),
                "category": _sequence(classes),
                "difficult": _sequence(_value("bool")),
            }
        }
    else:
        labels = {"label": classes}
    rest = {"path": "string", "sha256": "string", "width": "int32", "height": "int32"}
    return {"image": {"_type": "Image"}, **labels, **{name: _value(kind) for name, kind in rest.items()}}


def _value(kind: str) -> dict[str, Any]:
    return {"dtype": kind, "_type": "Value"}


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "Sequence"}


def _front(source: ExportSource, present: list[str]) -> str:
    task = "object-detection" if source.kind == "detection" else "image-classification"
    files = [
        {"split": HUGGINGFACE_SPLITS[split], "path": f"data/{HUGGINGFACE_SPLITS[split]}-*.parquet"} for split in present
    ]
    content = {"task_categories": [task], "configs": [{"config_name": "default", "data_files": files}]}
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
