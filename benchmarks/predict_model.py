"""What `benchmarks.predict` serves: a yolov8n trained on the spot, its certified exports, and JPEGs with objects."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from core.domain.errors import ExportUnsupported
from pipeline.export.catalogue import ExportOptions, Format, Precision
from pipeline.export.certificate import certify
from pipeline.export.exporter import ExportSource, exporter_of
from pipeline.export.held_out import HeldOutImage
from pipeline.export.quantisation import ATTEMPTS, Quantisation
from pipeline.predictor.package import OPENVINO_MODEL, OPENVINO_WEIGHTS, write_package
from pipeline.trainers.yolo.environment import go_offline

SIZE = (640, 480)
INPUT = 320
CLASSES = ("red", "green", "blue")
COLOURS = ((200, 40, 40), (40, 180, 60), (50, 70, 200))
PART = (320, 240)  # of an image to train on, at half of INPUT: objects are as large, for a quarter of the time
TRAINED, HELD_OUT = 128, 64  # images
EPOCHS = 30  # 1.5 minutes on two cores: most scores are far from their thresholds then


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that passed. `certificate`: of its precision."""

    file: Path
    format: Format
    precision: Precision
    certificate: dict[str, Any]


def draw_images(folder: Path, count: int, *, seed: int, size: tuple[int, int] = SIZE) -> list[HeldOutImage]:
    """JPEGs, of 640 x 480 with 100 KB each: discs of three colours on a background with grain."""
    rng, grain = random.Random(seed), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    return [_image(folder / f"{index:03d}.jpg", size, rng, grain) for index in range(count)]


def train(folder: Path, *, epochs: int = EPOCHS) -> Path:
    """best.pt of a yolov8n for an input of 320 px, trained by ultralytics alone."""
    go_offline(folder / "config")
    from ultralytics import YOLO

    from pipeline.trainers.yolo.weights import publish_weights, read_weights

    data = folder / "data"
    for split, count, seed in (("train", TRAINED, 1), ("val", 16, 2)):
        images = draw_images(data / "images" / split, count, seed=seed, size=PART)
        (data / "labels" / split).mkdir(parents=True)
        for image in images:
            (data / "labels" / split / f"{image.file.stem}.txt").write_text(_yolo_lines(image, PART), encoding="utf-8")
    names = ", ".join(CLASSES)
    (data / "data.yaml").write_text(f"path: {data}\ntrain: images/train\nval: images/val\nnames: [{names}]\n", "utf-8")
    model = YOLO("yolov8n.yaml")
    settings = {"epochs": epochs, "imgsz": INPUT // 2, "batch": 16, "optimizer": "AdamW", "lr0": 0.002, "mosaic": 0.0}
    settings |= {"warmup_epochs": 1, "amp": False, "seed": 0, "workers": 0, "plots": False, "verbose": False}
    model.train(data=str(data / "data.yaml"), device="cpu", project=str(folder), name="run", **settings)
    publish_weights(read_weights(folder / "run" / "weights" / "last.pt"), folder / "best.pt", input_size=INPUT)
    return folder / "best.pt"


def export(model: Path, folder: Path, images: Sequence[HeldOutImage]) -> list[Exported]:
    """ONNX fp32, OpenVINO bf16 where the processor has it, and OpenVINO int8, each with its certificate; those that
    passed."""
    folder.mkdir()
    go_offline(folder / "config")
    from pipeline.trainers import yolo

    source = ExportSource(folder / "source.onnx")
    yolo.export_onnx(model, source.onnx, about={})
    calibration = Quantisation(source.onnx, [image.file for image in images], ATTEMPTS[0])
    quantised = ExportSource(source.onnx, None, calibration)
    loaded = yolo.load(model)
    found = []
    wanted: tuple[tuple[Format, Precision, ExportSource], ...] = (
        ("onnx", "fp32", source),
        ("openvino", "bf16", source),
        ("openvino", "int8", quantised),
    )
    for to, precision, given in wanted:
        target = folder / f"{to}-{precision}"
        target.mkdir()
        try:
            exporter_of(to).write(given, target, ExportOptions(to, precision))
        except ExportUnsupported as error:
            print(error, flush=True)
            continue
        file = next(path for path in target.iterdir() if path.suffix in (".onnx", ".zip", ".xml"))
        scratch = folder / f"scratch-{precision}"
        scratch.mkdir()
        certificate = certify(file, loaded, images, kind="detection", precision=precision, threads=2, scratch=scratch)
        share, figures = certificate["predictions"]["share"], certificate["figures"]
        print(
            f"certificate of {to} {precision}: passed {certificate['passed']}, {share:.1%} equal, {figures}", flush=True
        )
        if certificate["passed"]:
            found.append(Exported(_in_one_file(file), to, precision, certificate))
    return found


def _in_one_file(file: Path) -> Path:
    """As it is stored: OpenVINO's two files in one ZIP."""
    if file.suffix != ".xml":
        return file
    package = file.with_suffix(".zip")
    write_package(package, {OPENVINO_MODEL: file, OPENVINO_WEIGHTS: file.with_suffix(".bin")})
    return package


def _image(file: Path, size: tuple[int, int], rng: random.Random, grain: np.random.Generator) -> HeldOutImage:
    width, height = size
    coarse = grain.integers(60, 200, (height // 80, width // 80, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    columns = width // 120
    boxes = []
    for column in rng.sample(range(columns), rng.randint(1, columns)):  # none covers another
        label, radius = rng.randrange(len(CLASSES)), rng.randint(30, 58)
        x = column * width // columns + width // columns // 2
        y = rng.randint(radius, height - radius - 1)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=COLOURS[label])
        boxes.append((label, x - radius, y - radius, x + radius + 1, y + radius + 1))
    noisy = np.asarray(image).astype(np.int16) + grain.integers(-9, 10, (height, width, 3), dtype=np.int16)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, quality=88)
    return HeldOutImage(file, np.asarray(boxes, np.float64), None)


def _yolo_lines(image: HeldOutImage, size: tuple[int, int]) -> str:
    width, height = size
    return "".join(
        f"{int(label)} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} {(x2 - x1) / width} {(y2 - y1) / height}\n"
        for label, x1, y1, x2, y2 in image.boxes
    )
