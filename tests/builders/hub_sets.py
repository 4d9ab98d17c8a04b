"""Datasets as they lie on a hub: parquet files written as `datasets` does, made on the spot."""

import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.builders.voc import image_bytes

ACTIONS = ("calling", "clapping", "running")
IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@cache
def jpeg(number: int) -> bytes:
    """An image of its own for each number."""
    return image_bytes(seed=number)


@cache
def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (number % 256, 40, 200)).save(out, "PNG")
    return out.getvalue()


def table(
    labels: Sequence[Any],
    *,
    names: Sequence[str] | None = ACTIONS,
    first: int = 0,
    label: str = "labels",
    images: Sequence[bytes | None] | None = None,
    metadata: bool = True,
) -> bytes:
    """A parquet file with an image and a label in each row. `names` None: the labels are texts."""
    contents = images if images is not None else [jpeg(first + number) for number in range(len(labels))]
    cells = [{"bytes": content, "path": f"Image_{first + number}.jpg"} for number, content in enumerate(contents)]
    kind = pa.string() if names is None else pa.int64()
    made = pa.table({"image": pa.array(cells, IMAGE_TYPE), label: pa.array(labels, kind)})
    feature = {"_type": "Value", "dtype": "string"} if names is None else {"_type": "ClassLabel", "names": list(names)}
    info = {"info": {"features": {"image": {"_type": "Image"}, label: feature}}}
    if metadata:
        made = made.replace_schema_metadata({"huggingface": json.dumps(info)})
    return written(made, row_group_size=8)


def written(made: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(made, out, **options)
    return out.getvalue()


def action_set(*, per_class: int = 8) -> dict[str, bytes]:
    """Train in two files, and a test split in which everything is labelled with the first class, as in the original."""
    labels = [number % len(ACTIONS) for number in range(per_class * len(ACTIONS))]
    half = len(labels) // 2
    return {
        ".gitattributes": b"*.parquet filter=lfs\n",
        "README.md": b"---\nlicense: odbl\n---\n",
        "data/test-00000-of-00001-dc4f19ca5d3bd8a0.parquet": table([0] * 6, first=1000),
        "data/train-00000-of-00002-de25cbc3a06df1ad.parquet": table(labels[:half]),
        "data/train-00001-of-00002-5a2c7a4f1cb2b0b1.parquet": table(labels[half:], first=half),
        "Human_Action_Recognition.py": b"raise SystemExit('a loading script was run')\n",
    }
