"""The tree as its reader sees it: OpenCV decodes every image to the very size that the labels were made for."""

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.archive.byte_range import ByteRange
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Box, DatasetImage
from pipeline.decode.image import inspect_and_convert
from pipeline.layouts.tarball import open_tar
from pipeline.layouts.yolo import tree_names, write_members
from pipeline.prepare.fingerprint import write_manifest
from tests.builders.voc import image_bytes, turned

ODD: dict[str, bytes] = {
    "rgb.jpg": image_bytes(),
    "grey.jpg": image_bytes(mode="L"),
    "cmyk.jpg": image_bytes(mode="CMYK"),
    "rgba.png": image_bytes(mode="RGBA", format="PNG"),
    "palette.png": image_bytes(mode="P", format="PNG"),
    "bilevel.png": image_bytes(mode="1", format="PNG"),
    "deep.png": image_bytes(mode="I;16", format="PNG"),
    "webp.jpg": image_bytes(format="WEBP"),
    "bmp.bmp": image_bytes(format="BMP"),
    "tiff.tif": image_bytes(format="TIFF"),
    "gif.gif": image_bytes(mode="P", format="GIF"),
    "animated.webp": image_bytes(format="WEBP", save_all=True, append_images=[Image.new("RGB", (96, 64), "red")]),
    **{f"turned{n}.jpg": turned(n) for n in range(9)},
    **{f"turned{n}.png": turned(n, format="PNG") for n in (3, 6)},
    "turned.webp": turned(8, format="WEBP"),
    "turned.tif": turned(6, format="TIFF"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    images = [_image(folder, name, content) for name, content in ODD.items()]
    splits = {image.path: "train" for image in images}
    return _written(images, ["no: 'yes'", "\u56fe", "null"], splits, folder)


def _written(images: list[DatasetImage], classes: list[str], splits: dict[str, str], folder: Path) -> Path:
    write_manifest(images, classes, splits, folder / "manifest")
    with open_tar(folder / "set.tar") as writer:
        write_members(writer, images, classes, splits, folder / "manifest")
        assert writer.end() == (folder / "set.tar").stat().st_size
    with tarfile.open(folder / "set.tar") as tar:
        assert tar.getnames() == sorted(tar.getnames())
        tar.extractall(folder / "tree", filter="data")
    return folder / "tree"


def _image(folder: Path, name: str, content: bytes) -> DatasetImage:
    file = folder / name
    file.write_bytes(content)
    facts, png = inspect_and_convert(content)
    assert facts.problem is None, (name, facts)
    converted = None
    if png:
        (folder / f"{name}.converted").write_bytes(png)
        converted = ByteRange(str(folder / f"{name}.converted"), 0, len(png))
    boxes = (Box(1, 0, 0, 10_500, 20_000, False),)
    source = SourceFile(name, str(file), len(content), name)
    return DatasetImage(name, source, *facts.upright, facts.format, converted, boxes, None)


@pytest.mark.parametrize("name", ODD)
def test_opencv_reads_an_image_as_the_labels_mean_it(tree: Path, name: str) -> None:
    expected = (64, 96) if not name.startswith("turned") or name[6:7] in "0123" else (96, 64)
    if name == "turned4.jpg":
        expected = (64, 96)
    found = next(path for path in (tree / "images" / "train").iterdir() if path.name == _tree_name(tree, name))
    decoded = cv2.imdecode(np.fromfile(found, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (*expected, 3)
    label = (tree / "labels" / "train" / f"{found.stem}.txt").read_text().split()
    assert float(label[3]) * expected[1] == pytest.approx(10.5, abs=1e-5)


def _tree_name(tree: Path, name: str) -> str:
    images = [DatasetImage(n, SourceFile(n, "", 0, n), 9, 9, "JPEG", None, (), None) for n in ODD]
    stem = Path(tree_names(images, dict.fromkeys(ODD, "train"))[name]).stem
    return next(path.name for path in (tree / "images" / "train").iterdir() if path.stem == stem)


def test_class_names_survive_the_yaml(tree: Path) -> None:
    content = yaml.safe_load((tree / "data.yaml").read_text(encoding="utf-8"))
    assert content["names"] == {0: "no: 'yes'", 1: "\u56fe", 2: "null"}
    assert "path" not in content and "test" not in content and "download" not in content


def test_sixteen_bits_keep_their_high_byte(tmp_path: Path) -> None:
    values = np.linspace(0, 65_535, 96 * 64).astype(np.uint16).reshape(64, 96)
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    images = [_image(tmp_path, "deep.png", content.getvalue())]
    tree = _written(images, ["a", "b"], {"deep.png": "train"}, tmp_path)
    with Image.open(tree / "images" / "train" / "deep.png") as image:
        assert (np.asarray(image.convert("L")) == values >> 8).all()


def test_tree_names_are_ascii_unique_but_for_case_and_independent_of_order() -> None:
    paths = [
        "a/1.jpg",
        "b/1.jpg",
        "A (1).jpg",
        "a_1.png",
        "\u56fe.jpg",
        "x" * 300 + ".jpg",
        "..jpg",
        "c/A_1.jpg",
        "\u00e9.jpg",
    ]
    images = [DatasetImage(path, SourceFile(path, "", 0, path), 9, 9, "JPEG", None, (), None) for path in paths]
    names = tree_names(images, dict.fromkeys(paths, "val"))
    assert tree_names(images[::-1], dict.fromkeys(paths, "val")) == names
    assert len({name.lower().rsplit(".", 1)[0] for name in names.values()}) == len(paths)
    assert all(name.isascii() and len(name) < 100 and name.startswith("images/val/") for name in names.values())
    assert names["\u00e9.jpg"] == "images/val/e.jpg"
