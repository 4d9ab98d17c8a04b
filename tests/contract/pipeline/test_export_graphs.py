"""Graphs of exports: batches and sizes that the example did not have, with suppression outside and inside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.domain.errors import ExportUnsupported
from pipeline.export.suppression_graph import add_suppression
from pipeline.predictor.engines import Engine, open_engine
from pipeline.predictor.metadata import read_metadata
from pipeline.predictor.postprocess import boxes_of
from pipeline.predictor.preprocess import Placement
from pipeline.predictor.validation import LOWEST_SCORE
from tests.builders.colour_models import export_of
from tests.builders.exported_in_thread import write_openvino

SHAPES = [(1, 128, 128), (4, 96, 128), (20, 64, 96), (2, 32, 32)]
ENGINES = ("onnx", "openvino")


def opened(kind: str, engine: str, folder: Path, *, suppression: bool = False) -> Engine:
    file = export_of(kind, folder / f"{suppression}.onnx")
    if suppression:
        add_suppression(file)
    if engine == "openvino":
        file = write_openvino(file)
    return open_engine(file, threads=1)


def squares(batch: int, height: int, width: int) -> NDArray[np.float32]:
    """Coloured cells of 16 px: many boxes that overlap."""
    cells = np.random.default_rng(batch).random((batch, 3, height // 16, width // 16), np.float32)
    return np.repeat(np.repeat(cells, 16, axis=2), 16, axis=3)


@pytest.mark.parametrize("engine", ENGINES)
def test_suppression_in_the_graph_keeps_what_the_predictor_keeps(engine: str, tmp_path: Path) -> None:
    plain, inside = (opened("detection", engine, tmp_path, suppression=each) for each in (False, True))
    outside = read_metadata(plain.description).output
    assert read_metadata(inside.description).output == replace(outside, form="kept-boxes")
    found = 0
    for shape in SHAPES:
        pixels = squares(*shape)
        placement = Placement(1, 1, 0, 0, shape[2], shape[1])
        answers = list(zip(plain.run(pixels), inside.run(pixels), strict=True))
        for min_score in (LOWEST_SCORE, 0.25):
            for raw, kept in answers:
                output = replace(outside, min_score=min_score, thresholds=())
                wanted = boxes_of(raw, output, placement, (shape[2], shape[1]))
                same = boxes_of(kept, replace(output, form="kept-boxes"), placement, (shape[2], shape[1]))
                np.testing.assert_allclose(same, wanted, atol=1e-4)
                found += len(wanted)
    assert found > 200


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_every_image_of_a_batch_is_answered_as_it_is_alone(kind: str, engine: str, tmp_path: Path) -> None:
    model = opened(kind, engine, tmp_path)
    for batch in (1, 4, 20):
        pixels = squares(batch, *((64, 96) if kind == "detection" else (32, 32)))
        alone = np.concatenate([model.run(each[None]) for each in pixels])
        np.testing.assert_allclose(model.run(pixels), alone, atol=1e-5)


def test_a_classifier_has_no_boxes_to_suppress(tmp_path: Path) -> None:
    with pytest.raises(ExportUnsupported, match="logits"):
        add_suppression(export_of("classification", tmp_path / "model.onnx"))
