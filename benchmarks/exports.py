"""How fast exports answer, beside PyTorch: `nice -n -5 python -m benchmarks.exports [--rounds 30] [--threads 1]`.

A yolov8n at 320 px and a ViT-Tiny/16 at 224 px, with random weights unless `--yolo best.pt` or `--vit model.zip` names
trained ones, on photographs (`--images photos.zip`, else drawn ones). In every round each way runs once, in an order
that changes with the round, so that what else the machine does meets all of them. int8 is calibrated on the
photographs, as the first attempt of an export is; what it loses, the certificate of an export says.

- `model`: the same input tensor, through the model alone;
- `path`: the bytes of a JPEG of 640 x 480 to boxes or classes;
- `stages`: of the path, for two sizes of JPEG, by engine.
"""

import argparse
import io
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api.schemas.exports import CLAIMED_SPEED_UPS
from pipeline.export.catalogue import ExportOptions, Format, Precision
from pipeline.export.exporter import ExportSource, exporter_of
from pipeline.export.quantisation import ATTEMPTS, Quantisation
from pipeline.params.catalogue import entry_of
from pipeline.predictor.images import decode
from pipeline.predictor.predictor import ExportPredictor, Prediction
from pipeline.predictor.preprocess import prepare
from pipeline.trainers import ModelSource, Trainer

SIZES = ((640, 480), (1920, 1080))
EXPORTS: tuple[tuple[Format, Precision], ...] = (
    *(("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8")),
    *(("openvino", "fp32"), ("openvino", "fp16"), ("openvino", "int8")),
)
CLAIMS = {f"{name} fp32": times for name, times in CLAIMED_SPEED_UPS.items()}
STAGES = ("decode", "preprocess", "inference", "postprocess")
Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Way:
    """`model`: an input to an output. `path`: a JPEG and its bytes to an answer; None where nothing of ours does it."""

    name: str
    megabytes: float
    model: Callable[[Tensor], Any]
    path: Callable[[Path, bytes], Any] | None
    predictor: ExportPredictor | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yolo", type=Path, help="best.pt")
    parser.add_argument("--vit", type=Path, help="model.zip")
    parser.add_argument("--images", type=Path, help="a ZIP with photographs")
    parser.add_argument("--rounds", type=int, default=30, help="at most 1000")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        photos = {size: _photos(folder, args.images, size) for size in SIZES}
        models = {"yolo": _yolo(args.yolo, folder), "vit": args.vit or _random_vit(folder)}
        for trainer, model in models.items():
            ways = _ways(trainer, model, folder / trainer, photos[SIZES[0]], threads=args.threads)
            _compare(trainer, ways, photos[SIZES[0]], rounds=min(args.rounds, 1000))
            for size in SIZES:
                _stages(trainer, ways, photos[size], size, rounds=min(args.rounds, 1000))
    return 0


def _photos(folder: Path, source: Path | None, size: tuple[int, int], count: int = 10) -> list[Path]:
    """JPEGs of `size`: of the photographs in the ZIP, or drawn ones, with noise that takes as many bytes."""
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(count)]
    if source is not None:
        with zipfile.ZipFile(source) as archive:
            names = sorted(each for each in archive.namelist() if each.lower().endswith((".jpg", ".jpeg")))[:count]
            images = [Image.open(io.BytesIO(archive.read(each))) for each in names]
    files = []
    for index, image in enumerate(images):
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)).astype(int)
        noisy = np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
        files.append(folder / f"{size[0]}-{index}.jpg")
        Image.fromarray(noisy).save(files[-1], quality=85)
    return files


def _yolo(weights: Path | None, folder: Path) -> Path:
    """The weights for an input of 320 px."""
    from pipeline.trainers.yolo.environment import go_offline

    go_offline(folder / "config")
    from ultralytics import YOLO

    from pipeline.trainers.yolo.weights import publish_weights, read_weights

    checkpoint = read_weights(weights) if weights else {"model": YOLO("yolov8n.yaml").model, "train_args": {}}
    publish_weights(checkpoint, folder / "best.pt", input_size=320)
    return folder / "best.pt"


def _random_vit(folder: Path) -> Path:
    from safetensors.torch import save_model

    from pipeline.trainers.vit.models import build_classifier, publish_vit

    source = ModelSource("config", "vit-tiny-patch16-224")
    network, processor = build_classifier(source, [f"class {index}" for index in range(10)], None)
    save_model(network, str(folder / "weights.safetensors"))
    publish_vit(folder / "weights.safetensors", network, processor, folder / "model.zip")
    return folder / "model.zip"


def _ways(name: str, model: Path, folder: Path, photos: Sequence[Path], *, threads: int) -> list[Way]:
    import torch

    entry = entry_of(name)
    trainer = cast(Trainer, __import__(entry.trainer, fromlist=["load"]))
    loaded = trainer.load(model)
    network = _fused(model) if name == "yolo" else loaded.raw
    ways = [Way("pytorch fp32", _megabytes(model), network, lambda file, _: loaded.predict(file))]
    folder.mkdir(exist_ok=True)
    source = ExportSource(folder / "source.onnx", folder / "source.torchscript")
    trainer.export_onnx(model, source.onnx, about={})
    trainer.trace(model, cast(Path, source.traced))
    traced_file = _written(source, folder / "torchscript", ExportOptions("torchscript"))
    traced = torch.jit.load(str(traced_file)).eval()

    ways.append(Way("torchscript fp32", _megabytes(traced_file), _running(traced), None))
    for to, precision in EXPORTS:
        wanted = source
        if precision == "int8":
            wanted = replace(source, quantisation=Quantisation(source.onnx, photos, ATTEMPTS[0]))
        file = _written(wanted, folder / f"{to}-{precision}", ExportOptions(to, precision))
        ways.append(_exported(f"{to} {precision}", file, threads=threads))
    return ways


def _written(source: ExportSource, folder: Path, options: ExportOptions) -> Path:
    """Without a certificate, which compares them one by one: here they take turns."""
    folder.mkdir()
    exporter_of(options.format).write(source, folder, options)
    return next(path for path in folder.iterdir() if path.suffix != ".bin")


def _fused(model: Path) -> Callable[[Tensor], Any]:
    """As ultralytics predicts: with each normalisation in the convolution before it."""
    from ultralytics import YOLO

    return _running(YOLO(str(model)).model.float().fuse().eval())


def _running(network: Any) -> Callable[[Tensor], Any]:
    import torch

    def run(batch: Tensor) -> Any:
        with torch.inference_mode():
            found = network(torch.from_numpy(batch))
        return (found[0] if isinstance(found, tuple | list) else found).numpy()

    return run


def _exported(name: str, file: Path, *, threads: int) -> Way:
    predictor = ExportPredictor(file, threads=threads)
    size = sum(_megabytes(each) for each in file.parent.iterdir() if each.stem == file.stem)
    return Way(name, size, predictor.raw, lambda _, content: predictor.predict([content]), predictor)


def _compare(trainer: str, ways: Sequence[Way], photos: Sequence[Path], *, rounds: int) -> None:
    """A square input for all: TorchScript is written for that of the model alone."""
    wanted = next(way.predictor for way in ways if way.predictor).metadata.preprocessing
    contents = [photo.read_bytes() for photo in photos]
    resized = [
        Image.open(io.BytesIO(content)).convert("RGB").resize((wanted.width, wanted.height)) for content in contents
    ]
    inputs = [_input(image, wanted) for image in resized]
    expected = [_scores(ways[0].model(each)) for each in inputs]
    model: dict[str, list[float]] = {way.name: [] for way in ways}
    path: dict[str, list[float]] = {way.name: [] for way in ways if way.path}
    for number in range(-2, rounds):  # two rounds to warm up
        photo = number % len(photos)
        for way in [*ways[number % len(ways) :], *ways[: number % len(ways)]]:
            taken = _milliseconds(way.model, inputs[photo])
            if number >= 0:
                model[way.name].append(taken)
            if way.path:
                taken = _milliseconds(way.path, photos[photo], contents[photo])
                if number >= 0:
                    path[way.name].append(taken)
    _print_comparison(trainer, ways, model, path, lambda way: _difference(way, inputs, expected))


def _input(image: Image.Image, wanted: Any) -> Tensor:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return prepare(decode(buffer.getvalue()), wanted)[0][None]


def _difference(way: Way, inputs: Sequence[Tensor], expected: Sequence[Any]) -> float:
    pairs = zip(inputs, expected, strict=True)
    return max(float(np.abs(_scores(way.model(each)) - wanted).max()) for each, wanted in pairs)


def _scores(output: Any) -> Any:
    """Probabilities of classes, or of a detector the scores of its boxes."""
    if output.ndim == 2:
        powers = np.exp(output - output.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    return np.array(output[:, 4:])


def _stages(trainer: str, ways: Sequence[Way], photos: Sequence[Path], size: tuple[int, int], *, rounds: int) -> None:
    contents = [photo.read_bytes() for photo in photos]
    kinds = [way for way in ways if way.predictor and way.name.endswith("fp32")]
    found: dict[str, list[Mapping[str, float]]] = {way.name: [] for way in kinds}
    for number in range(-2, rounds):
        for way in kinds:
            result = cast(ExportPredictor, way.predictor).predict([contents[number % len(contents)]])[0]
            if number >= 0:
                found[way.name].append(cast(Prediction, result).milliseconds)
    print(f"\n| {trainer}, JPEG of {size[0]} x {size[1]} | {' | '.join(STAGES)} | together |\n{'|---' * 6}|")
    for name, times in found.items():
        medians = [statistics.median(each[stage] for each in times) for stage in STAGES]
        cells = [f"{value:.2f} ms ({value / sum(medians):.0%})" for value in medians]
        print(f"| {name} | {' | '.join(cells)} | {sum(medians):.1f} ms |", flush=True)


def _print_comparison(
    trainer: str,
    ways: Sequence[Way],
    model: Mapping[str, list[float]],
    path: Mapping[str, list[float]],
    difference: Callable[[Way], float],
) -> None:
    head = (
        "size",
        "model p50 / p95",
        "PyTorch / it",
        "claimed",
        "path p50 / p95",
        "PyTorch / it",
        "a second",
        "differs by",
    )
    print(f"\n| {trainer} | {' | '.join(head)} |\n{'|---' * 9}|")
    base, whole = (statistics.median(times[ways[0].name]) for times in (model, path))
    for way in ways:
        times = path.get(way.name)
        cells = [
            f"{way.megabytes:.1f} MB",
            _quantiles(model[way.name]),
            f"{base / statistics.median(model[way.name]):.2f}",
            CLAIMS.get(way.name, ""),
            _quantiles(times) if times else "",
            f"{whole / statistics.median(times):.2f}" if times else "",
            f"{1e3 / statistics.mean(times):.0f}" if times else "",
            f"{difference(way):.1g}",
        ]
        print(f"| {way.name} | {' | '.join(cells)} |", flush=True)


def _quantiles(times: Sequence[float]) -> str:
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return f"{p50:.1f} / {p95:.1f} ms"


def _milliseconds(run: Callable[..., Any], *given: Any) -> float:
    started = perf_counter()
    run(*given)
    return 1e3 * (perf_counter() - started)


def _megabytes(file: Path) -> float:
    return file.stat().st_size / 1e6


if __name__ == "__main__":
    sys.exit(main())
