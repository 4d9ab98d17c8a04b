"""Batches of predictions: the answers of the predictor in every file, and a ZIP that is read as it was written."""

import csv
import json
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.domain.errors import ArchiveRefused, NothingToPredict, OperationFailed, ParamsInvalid
from pipeline.__main__ import run
from pipeline.batch import run as batch_run
from pipeline.batch.run import predict_batch
from pipeline.layouts import MANIFEST_FILE
from pipeline.layouts.manifest_boxes import boxes_of_manifest
from pipeline.predictor.engines import EngineFailed, OnnxRuntime, Tensor
from pipeline.predictor.predictor import ExportPredictor, Prediction
from pipeline.process.child import Channel, RunCancelled
from pipeline.process.progress import StageReporter
from pipeline.process.results import BatchPredicted, read_result_of
from pipeline.process.specs import FETCHED_FILE, PredictBatchSpec
from tests.builders.colour_models import CLASSES, draw_scenes, export_of
from tests.builders.evaluated_sets import prepared, texture_files
from tests.builders.voc import Files, zip_files

POISON = b"\xff\xd8\xff\xe0 no image"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {kind: export_of(kind, folder / f"{kind}.onnx") for kind in ("detection", "classification")}


def spec_of(out: Path, model: Path, **changes: Any) -> PredictBatchSpec:
    return PredictBatchSpec(out=out, model=model, name="shapes/v1", image_max_bytes=100_000, threads=2, **changes)


def predicted(out: Path, model: Path, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary and the lines."""
    out.mkdir(exist_ok=True)
    summary = predict_batch(spec_of(out, model, **changes), StageReporter()).summary
    lines = (out / "artifacts" / "predictions.jsonl").read_text(encoding="utf-8").split("\n")
    return summary, [json.loads(line) for line in lines if line]


def test_boxes_are_those_of_the_predictor_and_come_back_from_the_labelled_zip_as_a_dataset(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    scenes = {f"{number:03d}.jpg": each.file.read_bytes() for number, each in enumerate(draw_scenes(tmp_path, 18))}
    spec = spec_of(tmp_path / "batch", exports["detection"], archive=zip_files(tmp_path / "images.zip", scenes))
    spec.out.mkdir()
    (spec.out / "spec.json").write_text(spec.model_dump_json())
    assert run(["predict-batch", "--config", str(spec.out / "spec.json")]) == 0
    result = read_result_of(spec.out, BatchPredicted)
    assert result is not None and (result.summary["images"], result.summary["failed"]) == (18, 0)
    files = spec.out / "artifacts"
    lines = [json.loads(line) for line in (files / "predictions.jsonl").read_text().splitlines()]
    assert [(line["number"], line["image"]) for line in lines] == [*enumerate(scenes, start=1)]
    for line, alone in zip(lines, ExportPredictor(exports["detection"]).predict([*scenes.values()]), strict=True):
        assert isinstance(alone, Prediction)
        assert [[box["x1"], box["y2"], box["score"]] for box in line["boxes"]] == [
            [box.x1, box.y2, box.score] for box in alone.boxes
        ]
    boxes = [box for line in lines for box in line["boxes"]]
    assert len(boxes) == result.summary["boxes"] == sum(result.summary["classes"].values()) > 20
    results = json.loads((files / "coco_results.json").read_text())
    assert [each["score"] for each in results] == [box["score"] for box in boxes]

    tree, _ = prepared(tmp_path / "again", _files_of(files / "labelled.zip"))
    manifest = json.loads((tree / MANIFEST_FILE).read_text())
    assert sorted(manifest["classes"]) == sorted(CLASSES)
    read = {image["path"]: boxes_of_manifest(image["boxes"]) for image in manifest["images"]}
    assert {f"images/{path}" for path in read} == {line["file"] for line in lines}
    for line in lines:
        wanted = [[manifest["classes"].index(b["label"]), b["x1"], b["y1"], b["x2"], b["y2"]] for b in line["boxes"]]
        expected = np.array(sorted(wanted), float).reshape(-1, 5)
        found = np.array(sorted(read[line["image"]].tolist()), float).reshape(-1, 5)
        np.testing.assert_allclose(found, expected, atol=0.001_01)

    summary, of_dataset = predicted(tmp_path / "dataset", exports["detection"], dataset=tree)
    assert {line["split"] for line in of_dataset} == {"train", "val", "test"}
    by_name = {line["image"]: line["boxes"] for line in of_dataset}
    assert summary["images"] == 18 and by_name == {line["image"]: line["boxes"] for line in lines}


def _files_of(archive: Path) -> Files:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_labels_of_a_zip_come_back_as_folders_of_classes_and_a_poisoned_image_fails_alone(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    textures = texture_files({"train": 6}, names=CLASSES)
    odd = ["a,b.png", '"q".png', "=cmd.png", "\u0639\u0631\u0628\u064a \u202eabc.png", "same/x.png", "other/X.png"]
    files: Files = dict(zip([*odd, *(f"{n}.png" for n in range(12))], textures.values(), strict=True))
    files |= {"broken.jpg": POISON, "large.bmp": b"BM" + bytes(200_000), "notes.txt": b"no label"}
    archive = zip_files(tmp_path / "images.zip", files)
    summary, lines = predicted(tmp_path / "out", exports["classification"], archive=archive)

    failed = {line["image"]: line["error"] for line in lines if line["error"]}
    assert set(failed) == {"broken.jpg", "large.bmp"} and failed["large.bmp"] == "The image has more than 100000 bytes."
    assert (summary["images"], summary["failed"], sum(summary["classes"].values())) == (20, 2, 18)
    assert {each["image"] for each in summary["failures"]} == set(failed)
    artifacts = tmp_path / "out" / "artifacts"
    assert sorted(path.name for path in artifacts.iterdir()) == ["labelled.zip", "predictions.csv", "predictions.jsonl"]
    with (artifacts / "predictions.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert "'=cmd.png" in {row["image"] for row in rows} and "a,b.png" in {row["image"] for row in rows}
    again = {line["file"]: line["labels"][0]["label"] for line in lines if not line["error"]}
    assert {name.split("/")[0] for name in again} <= set(CLASSES) and len(again) == 18
    tree, _ = prepared(tmp_path / "again", _files_of(artifacts / "labelled.zip"))
    manifest = json.loads((tree / MANIFEST_FILE).read_text())
    assert {image["path"]: manifest["classes"][image["label"]] for image in manifest["images"]} == again


def test_thresholds_and_tiles_are_those_of_the_request(exports: dict[str, Path], tmp_path: Path) -> None:
    scenes = {f"{number}.jpg": each.file.read_bytes() for number, each in enumerate(draw_scenes(tmp_path, 3))}
    requested: dict[str, Any] = {"min_score": 0.9, "iou": 0.1, "tile": 96, "overlap": 0.3}
    archive = zip_files(tmp_path / "images.zip", scenes)
    options = {"confidence": 0.9, "iou": 0.1, "tile": 96, "overlap": 0.3, "labelled": False}
    _, lines = predicted(tmp_path / "out", exports["detection"], archive=archive, **options)
    wanted = ExportPredictor(exports["detection"]).predict(list(scenes.values()), **requested)
    assert [(len(line["boxes"]), line["tiles"]) for line in lines] == [
        (len(each.boxes), each.tiles) for each in wanted if isinstance(each, Prediction)
    ]
    assert any(line["tiles"] for line in lines)
    assert not (tmp_path / "out" / "artifacts" / "labelled.zip").exists()


def test_fetched_images_keep_their_urls_and_one_that_was_not_fetched_says_why(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "fetched"
    folder.mkdir()
    (scene,) = draw_scenes(tmp_path, 1)
    (folder / "1").write_bytes(scene.file.read_bytes())
    listed = [
        {"url": "https://example.org/image?id=1", "name": "image", "file": "1"},
        {"url": "https://example.org/b.jpg", "name": "b.jpg", "error": "The URL answers 404."},
    ]
    (folder / FETCHED_FILE).write_text("".join(json.dumps(each) + "\n" for each in listed))
    summary, lines = predicted(tmp_path / "out", exports["detection"], fetched=folder)
    assert [line["url"] for line in lines] == [each["url"] for each in listed]
    assert (lines[0]["file"], lines[1]["error"], summary["failed"]) == ("images/image.jpg", "The URL answers 404.", 1)


def test_what_cannot_be_read_at_all_is_refused(exports: dict[str, Path], tmp_path: Path) -> None:
    model = exports["detection"]
    tree, _ = prepared(tmp_path / "set", texture_files({"train": 6}))
    manifest = (tree / MANIFEST_FILE).read_text()
    (tree / MANIFEST_FILE).write_text(manifest.replace('"test"', '"val"'))
    with pytest.raises(ParamsInvalid, match="has no test split"):
        predicted(tmp_path / "split", exports["classification"], dataset=tree, split="test")
    with pytest.raises(NothingToPredict):
        predicted(tmp_path / "empty", model, archive=zip_files(tmp_path / "empty.zip", {"a.txt": b"a"}))
    (tmp_path / "cut.zip").write_bytes(zip_files(tmp_path / "whole.zip", {"a.jpg": POISON}).read_bytes()[:-4])
    with pytest.raises(ArchiveRefused):
        predicted(tmp_path / "cut", model, archive=tmp_path / "cut.zip")
    with pytest.raises(ArchiveRefused):
        predicted(tmp_path / "slip", model, archive=zip_files(tmp_path / "slip.zip", {"../a.jpg": POISON}))


class Device(OnnxRuntime):
    """It computes batches, as a GPU does, and fails on each that has an image of `failing`."""

    failing: tuple[Tensor, ...] = ()

    def __init__(self, file: Path) -> None:
        super().__init__(file, threads=1)
        self.device = "cuda"

    def run(self, batch: Tensor) -> Tensor:
        if any(np.array_equal(each, other) for each in batch for other in self.failing):
            raise EngineFailed("The engine cannot run the export: out of memory")
        return super().run(batch)


def test_an_engine_that_fails_on_an_image_fails_that_image_and_on_all_of_them_the_batch(
    exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [each.file.read_bytes() for each in draw_scenes(tmp_path, 5)]
    engine = Device(exports["detection"])
    predictor = ExportPredictor(exports["detection"], engine=engine)
    monkeypatch.setattr(batch_run, "ExportPredictor", lambda _: predictor)
    files: Files = {f"{number}.jpg": content for number, content in enumerate(scenes)} | {"poison.jpg": POISON}
    inputs = [predictor.prepare(each).values for each in scenes]

    engine.failing = (inputs[2],)
    archive = zip_files(tmp_path / "images.zip", files)
    summary, lines = predicted(tmp_path / "one", exports["detection"], archive=archive)
    assert (summary["images"], summary["failed"]) == (6, 2)
    assert [each["image"] for each in summary["failures"]] == ["2.jpg", "poison.jpg"]
    assert lines[2]["error"] == "The engine cannot run the export: out of memory"
    assert all(lines[number]["boxes"] for number in (0, 1, 3, 4))

    engine.failing = tuple(inputs)
    archive = zip_files(tmp_path / "again.zip", files)
    with pytest.raises(OperationFailed, match=r"No image could be predicted\. .* out of memory"):
        predicted(tmp_path / "all", exports["detection"], archive=archive)


def test_a_cancel_ends_a_batch_between_two_images(exports: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    archive = zip_files(tmp_path / "images.zip", {f"{number}.jpg": POISON for number in range(500)})
    with closing(Channel(out)) as channel, pytest.raises(RunCancelled):
        channel.cancelled.set()
        predict_batch(spec_of(out, exports["detection"], archive=archive), StageReporter(channel))
