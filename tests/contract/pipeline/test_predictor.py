"""The predictor of exports, on odd and hostile images: the pixels that trainers read, or a reason."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from PIL import Image, ImageOps

from pipeline.__main__ import run
from pipeline.decode.image import inspect_and_convert
from pipeline.predictor import images
from pipeline.predictor.engines import EngineFailed
from pipeline.predictor.images import ImageUnreadable, decode
from pipeline.predictor.metadata import MetadataInvalid, Output, Preprocessing, read_metadata
from pipeline.predictor.onnx_file import describe_onnx
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed
from pipeline.trainers.classifier.data import upright
from tests.builders import odd_images as odd
from tests.builders.colour_models import draw_scenes, export_of
from tests.builders.exported_in_thread import write_openvino


def saved(format: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    return lambda: odd.saved(odd.photo().convert(mode), format, **options)


def saved_frames(format: str, **options: object) -> Callable[[], bytes]:
    return lambda: odd.saved(odd.photo(), format, save_all=True, append_images=[odd.photo(seed=1)], **options)


def saved_transparent(format: str) -> bytes:
    image = odd.photo()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return odd.saved(image, format)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _grey(top: int) -> Image.Image:
    return Image.fromarray(odd.deep_grey(top))


ODD: dict[str, Callable[[], bytes]] = {
    "baseline": odd.jpeg,
    "grey": saved("JPEG", "L"),
    "progressive": saved("JPEG", progressive=True),
    "cmyk": saved("JPEG", "CMYK"),
    "trailer": lambda: odd.jpeg() + b"SEFH\xff\xd8" + bytes(99),
    "film behind its end": lambda: odd.jpeg() + b"\xff\xda" * 500,
    "no end marker": lambda: odd.jpeg()[:-2],
    "mpo": saved_frames("MPO"),
    "mpo on its side": saved_frames("MPO", exif=_exif(6)),
    **{f"orientation {number}": partial(odd.with_exif_orientation, 3, number) for number in range(10)},
    "orientation of another type": partial(odd.with_exif_orientation, 4, 6),
    "orientation in xmp": partial(odd.with_xmp_orientation, 6),
    "broken exif": saved("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x03\x00"),
    **{f"png {mode}": saved("PNG", mode) for mode in ("RGB", "L", "P", "RGBA", "LA", "1")},
    "png with transparency": lambda: saved_transparent("PNG"),
    "palette with transparency": saved("PNG", "P", transparency=3),
    "png without its end": lambda: odd.png()[:-12],
    "png with a damaged text": lambda: odd.with_chunk(odd.png(), b"tEXt", b"Comment\0a", whole=False),
    "png on its side": saved("PNG", exif=_exif(8)),
    **{f"png of {top}": partial(odd.deep_rgb_png, top) for top in (255, 1000, 3000, 65535)},
    "grey png of 200": lambda: odd.saved(_grey(200), "PNG"),
    "grey png of 12 bits": lambda: odd.saved(_grey(3000), "PNG"),
    "grey tiff of 12 bits": lambda: odd.saved(_grey(3000), "TIFF"),
    "tiff of 12 bits": lambda: cv2.imencode(".tiff", np.dstack([odd.deep_grey(3000)] * 3))[1].tobytes(),
    "tiff of floats": lambda: odd.saved(Image.fromarray(odd.deep_grey(1000) / np.float32(1000)), "TIFF"),
    "tiff of several pages": saved_frames("TIFF"),
    "tiff cmyk": saved("TIFF", "CMYK"),
    "gif": saved_frames("GIF"),
    "webp": lambda: saved_transparent("WEBP"),
    "animated webp": saved_frames("WEBP"),
    "avif": saved("AVIF"),
    "jpeg 2000": saved("JPEG2000"),
    "bmp": saved("BMP"),
    "pgm": saved("PPM", "L"),
}


@pytest.mark.parametrize("without", ["", "cv2"])
@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_pixels_are_those_that_trainers_read(name: str, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = ODD[name]()
    facts, png = inspect_and_convert(content)
    assert facts.problem is None
    prepared = png or content[: facts.end or None]  # what a prepared dataset has of it
    by_opencv = cv2.imdecode(np.frombuffer(prepared, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]  # as ultralytics
    by_pillow = np.asarray(upright(io.BytesIO(prepared)))  # as the classifiers
    if without:
        monkeypatch.setattr(images, "cv2", None)
    found = decode(content)
    assert (found.width, found.height) == facts.upright
    assert np.array_equal(found.pixels, by_pillow)
    assert np.array_equal(found.pixels, by_opencv)


def test_a_png_with_a_huge_text_is_read_without_it() -> None:
    text = b"a\0\0" + zlib.compress(bytes(5_000_000))
    assert np.array_equal(decode(odd.with_chunk(odd.png(), b"zTXt", text)).pixels, np.asarray(odd.photo()))


@pytest.mark.parametrize("name", odd.CLOTHED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_in_the_clothes_of_an_image_is_read_or_refused_with_a_reason(name: str) -> None:
    try:
        assert decode(odd.CLOTHED[name][0]).pixels.ndim == 3
    except ImageUnreadable as error:
        assert len(str(error)) > 20


def png_of_size(width: int, height: int) -> bytes:
    header = odd.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + odd.chunk(b"IDAT", zlib.compress(bytes(1000))) + odd.PNG_END


def jpeg_of_many_scans() -> bytes:
    content = odd.jpeg(progressive=True)
    last = odd.marker_starts(content)[-2]
    return content[:last] + content[last:-2] * images.MAX_SCANS + content[-2:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_of_size(20_000, 20_000), "pixels|bomb"),
        (png_of_size(13_000, 13_900), "pixels"),
        (png_of_size(2**31 - 1, 2**31 - 1), "pixels|bomb"),
        (odd.jpeg()[:-200], "ends too early"),
        (odd.png()[:-200], "cannot be decoded"),
        (jpeg_of_many_scans(), "scans"),
        (b"", "zero bytes"),
    ],
    ids=["400 megapixels", "181 megapixels", "sides of 2^31", "half a JPEG", "half a PNG", "scans", "nothing"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_hostile_image_is_refused_before_it_is_decoded(content: bytes, reason: str) -> None:
    with pytest.raises(ImageUnreadable, match=reason):
        decode(content)


@pytest.mark.parametrize("without", ["", "cv2"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_at_the_smallest_scale_that_serves(
    orientation: int, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = odd.saved(odd.photo(size=(640, 400)), "JPEG", exif=_exif(orientation))
    if without:
        monkeypatch.setattr(images, "cv2", None)
    found = decode(content, at_least=lambda width, height: (width // 3, height // 3))
    serves = Image.open(io.BytesIO(content))
    serves.draft(None, (320, 200))
    assert (found.width, found.height) == ((640, 400) if orientation == 1 else (400, 640))
    assert found.pixels.shape == ((200, 320, 3) if orientation == 1 else (320, 200, 3))
    assert np.array_equal(found.pixels, np.asarray(ImageOps.exif_transpose(serves)))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {kind: export_of(kind, folder / f"{kind}.onnx") for kind in ("detection", "classification")}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [image.file.read_bytes() for image in draw_scenes(tmp_path_factory.mktemp("scenes"))]


def facts_of(results: list[Prediction | PredictionFailed]) -> list[Prediction | PredictionFailed]:
    return [each if isinstance(each, PredictionFailed) else replace(each, milliseconds={}) for each in results]


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_a_batch_is_answered_as_each_image_alone(kind: str, exports: dict[str, Path], scenes: list[bytes]) -> None:
    predictor = ExportPredictor(exports[kind])
    batch = [scenes[0], b"no image", *scenes[1:], odd.jpeg()[:-300], scenes[0]]
    together = facts_of(predictor.predict(batch))
    assert together == [facts_of(predictor.predict([each]))[0] for each in batch]
    assert [index for index, each in enumerate(together) if isinstance(each, PredictionFailed)] == [1, len(batch) - 2]
    assert predictor.predict([]) == []


@pytest.mark.parametrize("engine", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_threads_get_the_answers_of_one(
    engine: str, exports: dict[str, Path], scenes: list[bytes], tmp_path: Path
) -> None:
    file = exports["detection"]
    if engine == "openvino":
        file = write_openvino(file)
    predictor = ExportPredictor(file)
    alone = facts_of(predictor.predict(scenes))

    def every(start: int) -> bool:
        order = [(start + index) % len(scenes) for index in range(200)]
        return all(facts_of(predictor.predict([scenes[index]]))[0] == alone[index] for index in order)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(every, range(8)))


def test_an_export_that_takes_one_image_at_once_is_given_one(
    exports: dict[str, Path], scenes: list[bytes], tmp_path: Path
) -> None:
    model = onnx.load(str(exports["detection"]))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, str(tmp_path / "one.onnx"))
    wanted = ExportPredictor(exports["detection"]).predict(scenes)
    assert facts_of(ExportPredictor(tmp_path / "one.onnx").predict(scenes)) == facts_of(wanted)


def described(file: Path, target: Path, **changes: object) -> Path:
    model = onnx.load(str(file))
    metadata = read_metadata(model.metadata_props[0].value)
    onnx.save(model, str(target))
    describe_onnx(target, replace(metadata, **changes))  # type: ignore[arg-type]
    return target


def test_an_export_that_is_not_as_described_is_a_typed_error(
    exports: dict[str, Path], scenes: list[bytes], tmp_path: Path
) -> None:
    """Never a crash, an index error, or an answer under another class."""
    target = tmp_path / "changed.onnx"
    one = scenes[:1]
    with pytest.raises(MetadataInvalid, match="4 classes"):
        four: dict[str, Any] = {"classes": ("a", "b", "c", "d"), "output": Output("anchors")}
        ExportPredictor(described(exports["detection"], target, **four)).predict(one)
    with pytest.raises(MetadataInvalid, match="kept-boxes"):
        ExportPredictor(described(exports["detection"], target, output=Output("kept-boxes"))).predict(one)
    wrong = Preprocessing(128, 128, "stretch", "linear")
    sized = described(exports["classification"], target, preprocessing=wrong)
    model = onnx.load(str(sized))
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 32
    onnx.save(model, str(sized))
    with pytest.raises(EngineFailed, match="cannot run"):
        ExportPredictor(sized).predict(one)


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_that_is_no_model_is_a_typed_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(EngineFailed):
        ExportPredictor(tmp_path / name)


def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "image.jpg").write_bytes(odd.jpeg())
    files = {"model": "model.onnx", "image": "image.jpg", "out": "drawn.png"}
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    assert run(["predict", *arguments]) == 1
    assert "cannot run the export" in capsys.readouterr().err
    (tmp_path / "model.onnx").rename(tmp_path / "v1.torchscript")
    arguments[1] = str(tmp_path / "v1.torchscript")
    assert run(["predict", *arguments]) == 1
    assert "model: v1.torchscript is neither .pt or .zip" in capsys.readouterr().err


BLOCKED = """
import sys
blocked = {"torch", "torchvision", "ultralytics", "transformers", "onnx", "scipy", "pydantic"} | set(sys.argv[3:])
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Finder())
from pathlib import Path
from typing import Any
from pipeline.predictor.predictor import ExportPredictor
images = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
for export in sys.argv[2].split():
    for result in ExportPredictor(Path(export)).predict(images):
        print(result.width, result.height, result.boxes, result.labels)
assert not blocked & set(sys.modules)
"""


def test_numpy_pillow_and_onnxruntime_are_enough(exports: dict[str, Path], tmp_path: Path) -> None:
    draw_scenes(tmp_path, 8)

    def answers(*blocked: str) -> str:
        command = [sys.executable, "-c", BLOCKED, str(tmp_path), " ".join(map(str, exports.values())), *blocked]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert answers("cv2") == answers() != ""
