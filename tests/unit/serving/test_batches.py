"""Batches on a device: what waits goes through the engine together, and each image has its own answer."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.services.models.served import Served
from pipeline.predictor.engines import PROVIDERS, EngineFailed, OnnxRuntime, Tensor, open_engine
from pipeline.predictor.predictor import MAX_BATCH, ExportPredictor, Prediction, PredictionFailed
from serving.batches import Batches
from serving.models.loading import open_model
from tests.builders.colour_models import draw_scenes, export_of

POISON = b"\xff\xd8\xff\xe0 no image"
THRESHOLDS = {"min_score": None, "iou": None, "top": 5}


class Device(OnnxRuntime):
    """Takes 10 ms for one image and for a batch, as a GPU does, and cannot compute a batch with a marked image."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, threads=1)
        self.device = "cuda"
        self.sizes: list[int] = []
        self.marked: Tensor | None = None

    def run(self, batch: Tensor) -> Tensor:
        self.sizes.append(len(batch))
        time.sleep(0.01)
        if self.marked is not None and any(np.array_equal(each, self.marked) for each in batch):
            raise EngineFailed("out of memory")
        return super().run(batch)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_of("detection", tmp_path_factory.mktemp("export") / "squares.onnx")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [each.file.read_bytes() for each in draw_scenes(tmp_path_factory.mktemp("scenes"), 8)]


def boxes(result: Prediction | PredictionFailed | BaseException) -> object:
    assert isinstance(result, Prediction), result
    return result.boxes


def together(engine: Device, contents: list[bytes]) -> list[Prediction | PredictionFailed | BaseException]:
    async def run() -> list[Prediction | PredictionFailed | BaseException]:
        with ThreadPoolExecutor(2) as preparing:
            batches = Batches(ExportPredictor(Path(), engine=engine), preparing)
            answers = [batches.predict(each, THRESHOLDS) for each in contents]
            found = await asyncio.gather(*answers, return_exceptions=True)
        return [each if isinstance(each, BaseException) else each[0] for each in found]

    return asyncio.run(run())


def test_what_waits_goes_through_the_engine_together(file: Path, images: list[bytes]) -> None:
    engine = Device(file)
    alone = ExportPredictor(file).predict(images)
    contents = [POISON if number % 25 == 24 else images[number % 8] for number in range(100)]
    found = together(engine, contents)
    for number, result in enumerate(found):
        if contents[number] == POISON:
            assert isinstance(result, PredictionFailed)
        else:
            assert boxes(result) == boxes(alone[number % 8]), number
    assert sum(engine.sizes) == 96
    assert 1 < max(engine.sizes) <= MAX_BATCH and len(engine.sizes) <= 48


def test_an_image_that_the_engine_cannot_compute_fails_alone(file: Path, images: list[bytes]) -> None:
    engine = Device(file)
    engine.marked = ExportPredictor(file).prepare(images[3]).values
    found = together(engine, images * 4)
    assert [number % 8 for number, result in enumerate(found) if isinstance(result, EngineFailed)] == [3] * 4
    assert sum(isinstance(result, Prediction) for result in found) == 28


def test_a_device_on_which_a_batch_gains_is_given_batches(file: Path) -> None:
    content = file.read_bytes()
    known: dict[str, Any] = {each.name: "" for each in fields(Served)}
    known |= {"format": "onnx", "precision": "fp32", "bytes": len(content)}
    served = Served(**known)
    model = open_model(
        served, file, engine="onnxruntime", threads=2, now=0.0, opened_by=lambda given, **_: Device(given)
    )
    assert model.choice.batches and model.choice.device == "cuda"
    assert model.alone is model.shared, "a second copy on a GPU would gain nothing"
    on_cpu = open_model(served, file, engine="onnxruntime", threads=1, now=0.0)
    assert not on_cpu.choice.batches and on_cpu.choice.device == "cpu"


def test_another_device_than_the_wanted_one_is_never_taken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cuda", "tensorrt"):
        with pytest.raises(EngineFailed, match="onnxruntime has no"):
            open_engine(file, threads=1, device=device)  # type: ignore[arg-type]
        with pytest.raises(EngineFailed, match="on the processor"):
            open_engine(file, threads=1, name="openvino", device=device)  # type: ignore[arg-type]
    # As where onnxruntime-gpu is installed without the libraries of CUDA: it goes to the processor, and only warns.
    available = [provider for provider, _ in PROVIDERS.values()]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: available)
    with pytest.warns(UserWarning), pytest.raises(EngineFailed):
        OnnxRuntime(file, threads=1, device="cuda")
