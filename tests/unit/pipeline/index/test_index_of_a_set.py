"""The index that `prepare` writes, against an independent reading of the tar and of the upload."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter, ImageOps

from pipeline.decode.quality import quality_of
from pipeline.index.read import Selection, find_image, read_page
from pipeline.index.schema import INDEX_FILE, IndexedImage
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.progress import StageReporter
from pipeline.process.specs import PrepareSpec
from tests.builders.class_folders import folder_files, shape
from tests.builders.voc import Files, annotation, image_bytes, voc_files, zip_files


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_a_row_says_what_the_tar_holds(tmp_path: Path, kind: str) -> None:
    files = _detection() if kind == "detection" else _classification()
    out = _prepared(tmp_path, files)
    page = read_page(out / INDEX_FILE, Selection(), after=None, limit=500, boxes=1000)
    manifest = json.loads(_member(out, "manifest.json"))
    assert page.end is None and [_as_manifest(image) for image in page.images] == manifest["images"]
    tar = (out / "dataset.tar").read_bytes()
    by_path = {image.path: image for image in page.images}
    for image in page.images:
        content = tar[image.at : image.at + image.bytes]
        assert content == _content_by_name(out, image)
        with Image.open(io.BytesIO(content)) as opened:
            assert ImageOps.exif_transpose(opened).size == (image.width, image.height)
            assert opened.format == image.format
        original = next(content for name, content in files.items() if name.endswith(image.path))
        assert image.sha256 == hashlib.sha256(original).hexdigest()
        assert (content == original) is (not image.path.endswith("odd.tif"))
        assert 0.02 < image.brightness < 0.98 and 0 < image.blur <= 1
        assert find_image(out / INDEX_FILE, image.sha256, boxes=0) == image._replace(boxes=())
    odd = "odd.tif" if kind == "detection" else "box/odd.tif"
    assert by_path[odd].format == "PNG" and len(page.images) == len(by_path)


def test_blur_grows_with_blurring_and_brightness_with_light(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, (960, 1280)).cumsum(0).cumsum(1)
    sharp = Image.fromarray(np.uint8(255 * (noise - noise.min()) / np.ptp(noise))).convert("L")
    sharp.paste(Image.fromarray(rng.integers(0, 255, (96, 128), dtype=np.uint8)).resize((1280, 960), 0), (0, 0))
    blurs = [quality_of(sharp.filter(ImageFilter.GaussianBlur(radius))).blur for radius in (0, 4, 8, 16, 32)]
    assert blurs == sorted(blurs) and blurs[0] < 0.1 < 0.9 < blurs[-1]
    lights = [quality_of(sharp.point(lambda value, by=by: value * by)).brightness for by in (0.0, 0.25, 0.5, 1.0)]
    assert lights[0] == 0 and lights[1:] == pytest.approx([lights[3] / 4, lights[3] / 2, lights[3]], abs=0.01)


def test_a_finding_names_the_image_it_is_about(tmp_path: Path) -> None:
    files = voc_files(images=6)
    files["annotations/p03.xml"] = annotation("p03.jpg", [("ball", 10.0, 10.0, 97.0, 40.0)])
    files["images/p04.jpg"] += b"rest"
    out = _prepared(tmp_path, {f"wrapped/{name}": content for name, content in files.items()})
    found = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert {(each["path"], each["image"]) for each in found if each["code"] in ("box-at-edge", "image-odd-bytes")} == {
        ("wrapped/annotations/p03.xml", "p03.jpg"),
        ("wrapped/images/p04.jpg", "p04.jpg"),
    }


def _prepared(tmp_path: Path, files: Files) -> Path:
    out = tmp_path / "out"
    archive = zip_files(tmp_path / "data.zip", files)
    result = prepare(
        PrepareSpec(archive=archive, out=out, options=PrepareOptions(), processes=1, tree=False), StageReporter()
    )
    assert result.outcome == "ready", result
    return out


def _detection() -> Files:
    files = {name.removeprefix("images/"): content for name, content in voc_files(images=8).items()}
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.open(io.BytesIO(image_bytes(seed=77))).save(turned, "JPEG", exif=exif)
    files |= {"turned.jpg": turned.getvalue(), "odd.tif": image_bytes(seed=78, format="TIFF")}
    files["annotations/turned.xml"] = annotation("turned.jpg", [("cube", 3.0, 5.0, 30.0, 40.0)])
    files["annotations/odd.xml"] = annotation("odd.tif", [("ball", 3.0, 5.0, 30.0, 40.0)])
    return files


def _classification() -> Files:
    files = folder_files(each=5)
    return files | {"box/odd.tif": shape("box", seed="odd", format="TIFF")}


def _as_manifest(image: IndexedImage) -> dict[str, Any]:
    boxes = [[*box[:5], int(box.difficult)] for box in image.boxes]
    labels = {"boxes": boxes} if image.label is None else {"label": image.label}
    return {**labels, "path": image.path, "sha256": image.sha256, "split": image.split}


def _content_by_name(out: Path, image: IndexedImage) -> bytes:
    """Read by the libraries that users read the set with."""
    member = _member(out, image.name)
    if image.row is None:
        return member
    with pa.ipc.open_stream(io.BytesIO(member)) as stream:
        row = stream.read_all().slice(image.row, 1).to_pylist()[0]
    assert row["path"] == image.path
    return bytes(row["image"]["bytes"])


def _member(out: Path, name: str) -> bytes:
    with tarfile.open(out / "dataset.tar") as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()
