"""The images of a dataset: chosen by a seed, drawn whatever its classes are called."""

import io
import json
import math
import os
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image, ImageChops

from core.domain.keys import PLOT_NAMES
from pipeline.__main__ import run
from pipeline.archive.byte_range import ByteRange
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Box, DatasetImage
from pipeline.dataset.predictions import PredictedBox
from pipeline.plots import dataset as plots
from pipeline.plots.style import face_for
from pipeline.plots.thumbnails import CAPTION, HEIGHT, WIDTH, Thumbnail, draw_thumbnail
from pipeline.prepare import dataset_plots
from pipeline.prepare.gallery import THUMBNAILS, choose
from pipeline.process.child import RunCancelled
from tests.builders.voc import image_bytes, turned, voc_zip


def _image(number: int, *class_ids: int) -> DatasetImage:
    boxes = tuple(Box(class_id, 0, 0, 10_000, 10_000, False) for class_id in class_ids)
    return DatasetImage(
        f"{number}.jpg", SourceFile(f"{number}.jpg", "", 0, f"{number:064d}"), 100, 80, "JPEG", None, boxes, None
    )


def test_samples_are_seeded_and_show_every_class_first() -> None:
    images = [_image(n, *([0] if n < 190 else [n - 189])) for n in range(200)]
    chosen = choose(images, seed=0)
    assert len(chosen) == THUMBNAILS and len({p.path for p in chosen}) == THUMBNAILS
    assert {box.class_id for p in chosen[:11] for box in p.boxes} == set(range(11))
    assert choose(images[::-1], seed=0) == chosen != choose(images, seed=1)
    assert len(choose(images[:5], seed=0)) == 5


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (image_bytes(size=(1600, 1200)), (1600, 1200)),
        (image_bytes(size=(24, 80)), (24, 80)),
        (turned(6, size=(640, 480)), (480, 640)),
        (image_bytes(mode="I;16", format="PNG"), (96, 64)),
        (image_bytes(mode="CMYK"), (96, 64)),
        (image_bytes(mode="P", format="GIF"), (96, 64)),
    ],
    ids=["large", "narrow", "turned", "deep", "cmyk", "palette"],
)
def test_a_thumbnail_has_one_size_and_its_box_in_the_right_place(
    tmp_path: Path, content: bytes, size: tuple[int, int]
) -> None:
    (tmp_path / "p").write_bytes(content)
    width, height = size
    box = PredictedBox("名前", 1, 1.0, width * 0.25, height * 0.25, width * 0.75, height * 0.75)
    task = Thumbnail(ByteRange(str(tmp_path / "p"), 0, len(content)), "ü.jpg", "val", size, (box,), face_for(["名前ü"]))
    drawn = Image.open(io.BytesIO(draw_thumbnail(task)))
    assert drawn.size == (WIDTH, HEIGHT + CAPTION)
    factor = min(WIDTH / width, HEIGHT / height)
    right, middle = WIDTH / 2 + width * factor / 4, HEIGHT // 2
    line = [drawn.getpixel((round(right) + at, middle)) for at in (-2, -1, 0)]
    assert any(_close(pixel, (0xD5, 0x5E, 0x00)) for pixel in line), line


def test_the_face_of_plain_names_is_the_one_that_matplotlib_finds() -> None:
    plain, found = face_for(["cat", "IMG_0001.jpg"]), face_for(["ü"])
    assert plain is not None and Path(plain).is_file()
    assert found is not None and Path(plain).name == Path(found).name == "DejaVuSans.ttf"


def _close(pixel: object, shade: tuple[int, int, int]) -> bool:
    return isinstance(pixel, tuple) and all(abs(a - b) < 40 for a, b in zip(pixel, shade, strict=True))


@pytest.mark.parametrize(
    "classes",
    [["one"], ["$x^{$", "<b>", "名前", "a" * 300], [f"class {number}" for number in range(90)]],
    ids=["one", "odd", "many"],
)
def test_every_plot_is_drawn_whatever_the_classes_are(tmp_path: Path, classes: list[str]) -> None:
    images = [_image(n, n % len(classes), (n * 7) % len(classes)) for n in range(100)]
    splits = {p.path: ("train", "val", "test")[n % 3] for n, p in enumerate(images)}
    assert tuple(plots.PLOTS) == PLOT_NAMES
    for name, (measure, draw) in plots.PLOTS.items():
        draw(tmp_path / f"{name}.png", measure(images, classes, splits))
        with Image.open(tmp_path / f"{name}.png") as drawn:
            assert min(drawn.size) > 200 and max(drawn.size) < 3000


def test_the_dots_of_sizes_are_whole_and_their_square_fills_the_plot(tmp_path: Path) -> None:
    """Nearly all images are small, and one is large: the dot of the small ones lies in the corner."""
    sizes = [(100, 100)] * 999 + [(3024, 3024)]
    images = [replace(_image(n, 0), width=width, height=height) for n, (width, height) in enumerate(sizes)]
    plots.draw_resolution_scatter(tmp_path / "sizes.png", plots.count_sizes(images, ["one"], {}))
    with Image.open(tmp_path / "sizes.png") as image:
        drawn = image.convert("RGB")
    blue = sum(count for count, pixel in drawn.getcolors(2**24) or [] if _close(pixel, (140, 192, 220)))
    assert blue > 0.85 * math.pi / 4 * (22 + 1400 * 0.999) * (120 / 72) ** 2
    left, _, right, _ = ImageChops.invert(drawn).getbbox() or (0, 0, 0, 0)
    assert left < 0.04 * drawn.width and right > 0.95 * drawn.width


@pytest.mark.parametrize(
    ("count", "printed"), [(2059, "over 99%"), (2062, "100%"), (2040, "99%"), (1, "under 1%"), (0, "0%")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(count: int, printed: str) -> None:
    assert plots.percent(count, 2062) == printed


@pytest.mark.usefixtures("drawn_plots")
@pytest.mark.parametrize("processes", [1, 2])
def test_prepare_draws_the_images_and_says_so(tmp_path: Path, processes: int) -> None:
    archive = voc_zip(tmp_path / "data.zip", images=9)
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", str(processes)]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["gallery"] == {"plots": list(PLOT_NAMES), "samples": 9}
    with tarfile.open(tmp_path / "out" / "samples.tar") as tar:
        assert [name[:3] for name in tar.getnames()] == [f"{number:02d}-" for number in range(9)]
    assert {path.stem for path in (tmp_path / "out" / "plots").iterdir()} == set(PLOT_NAMES)


class _Ends:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (3,)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_plot_that_fails_or_ends_its_process_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    sizes = plots.count_sizes([_image(1, 0)], ["one"], {})
    measured = {
        "class_distribution": None,
        "resolution_scatter": sizes,
        "box_centres": None if processes == 1 else _Ends(),
    }
    monkeypatch.setattr(dataset_plots, "_measured", lambda name, _: dataset_plots.PlotTask(name, measured[name]))
    dataset = cast(Any, SimpleNamespace(kind="detection"))
    with dataset_plots.drawing_plots(tmp_path, processes=processes) as begin:
        assert begin(dataset)(lambda *_: None) == ("resolution_scatter",)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["resolution_scatter.png"]


def test_a_cancel_ends_the_process_that_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_plots, "_measured", lambda name, _: dataset_plots.PlotTask(name, None))
    dataset = cast(Any, SimpleNamespace(kind="detection"))
    with (
        pytest.raises(RunCancelled),
        dataset_plots.drawing_plots(tmp_path, processes=2) as begin,
    ):
        begin(dataset)(_cancel)
    assert not any(thread.name == "decoder" for thread in threading.enumerate())


def _cancel(*_: int) -> None:
    raise RunCancelled
