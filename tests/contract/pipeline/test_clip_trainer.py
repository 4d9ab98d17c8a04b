"""What only the clip trainer does. Its model is small and has random weights: the tests check its computations, not its
accuracy."""

import csv
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.domain.errors import Diverged, ParamsInvalid, WeightsUnavailable
from pipeline.params.catalogue import validate_params
from pipeline.process.child import Channel
from pipeline.trainers import ModelSource, TrainedModel, clip
from pipeline.training.checkpoint import read_checkpoint
from pipeline.training.reporter import ChannelReporter
from tests.builders.classification_tree import draw_classified_tree
from tests.builders.clip_model import make_clip
from tests.builders.training import start_training

MODEL = {"model": "org/tiny", "batch": 8, "device": "cpu"}
TEXTS = {"box": ["a drawing of a box."], "disc": ["a round thing"]}  # one sentence each, as bare CLIP takes them
PROMPTS = {"disc": ["a round thing", "a plate seen from above, white on black"]}
PARAMS: dict[str, dict[str, Any]] = {
    "zero-shot": {"mode": "zero-shot", "templates": ["a drawing of a {}."], "prompts": PROMPTS},
    "linear-probe": {"mode": "linear-probe", "epochs": 4, "lr": 0.01, "suspect_labels": False},
    "fine-tune": {"mode": "fine-tune", "epochs": 4, "lr": 0.002, "freeze_layers": 1},
}
Run = Callable[..., Path]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classified_tree(tmp_path_factory.mktemp("tree") / "tree", train=24, val=12, test=6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, while they are imported
        return make_clip(tmp_path_factory.mktemp("weights") / "org--tiny")


@pytest.fixture(scope="module")
def run(tree: Path, weights: Path) -> Run:
    """Trains in this process: a child spends most of its time on imports, and test_trainer.py starts real ones."""

    def trained(out: Path, mode: str, *, model: Path = weights, resume: Path | None = None, **params: Any) -> Path:
        out.mkdir()
        line = Channel(out)
        report = ChannelReporter(line, out=out, seconds_left=None, checkpoint_seconds=0, echo=False)
        options = validate_params("clip", {**MODEL, **PARAMS[mode], **params})
        source, checkpoint = ModelSource("weights", str(model)), read_checkpoint(resume) if resume else None
        try:
            done: TrainedModel = clip.train(tree, options, out, report, model=source, resume=checkpoint)
        finally:
            line.close()
        assert (out / "artifacts" / done.weights).is_file()
        return out

    return trained


@pytest.fixture(scope="module")
def zero_shot(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("zero-shot") / "out", "zero-shot", prompts={"disc": TEXTS["disc"]})


@pytest.fixture(scope="module", params=["linear-probe", pytest.param("fine-tune", marks=pytest.mark.slow)])
def learnt(request: pytest.FixtureRequest, run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, run(tmp_path_factory.mktemp("learnt") / "out", request.param)


def unpack(out: Path, folder: Path) -> Path:
    with zipfile.ZipFile(out / "artifacts" / "model.zip") as archive:
        archive.extractall(folder)
    return folder


def lines(out: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, (out / "progress.jsonl").read_text().splitlines()) if line["type"] == kind]


def tensors(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def test_zero_shot_predicts_as_bare_transformers_does_and_trains_nothing(
    zero_shot: Path, tree: Path, weights: Path, tmp_path: Path
) -> None:
    import datasets
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

    out = zero_shot
    assert [line["stage"] for line in lines(out, "stage")] == ["evaluating"]
    assert lines(out, "epoch") == lines(out, "checkpoint") == []
    assert not (out / "artifacts" / "results.csv").exists()

    published = unpack(out, tmp_path / "published")
    assert {name: value.tobytes() for name, value in tensors(published / "model.safetensors").items()} == {
        name: value.tobytes() for name, value in tensors(weights / "model.safetensors").items()
    }
    model = CLIPModel.from_pretrained(published).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(published), CLIPImageProcessor.from_pretrained(published)
    tokens = tokenizer([text for [text] in TEXTS.values()], padding=True, return_tensors="pt")
    rows = datasets.load_from_disk(str(tree / "data"))["test"]
    pixels = processor([row["image"].convert("RGB") for row in rows], return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**tokens, **pixels).logits_per_image.softmax(dim=1).numpy()

    with (out / "artifacts" / "predictions.csv").open(newline="") as file:
        ours = {row["path"]: row for row in csv.DictReader(file) if row["split"] == "test"}
    assert len(ours) == len(rows)
    for row, scores in zip(rows, theirs, strict=True):
        prediction = ours[row["path"]]
        assert prediction["predicted"] == ("box", "disc")[scores.argmax()]
        assert float(prediction["ground truth probability"]) == pytest.approx(scores[row["label"]], abs=2e-5)


def test_a_class_is_the_mean_of_its_sentences(run: Run, weights: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, CLIPModel

    out = run(tmp_path / "out", "zero-shot", suspect_labels=False)
    model, tokenizer = CLIPModel.from_pretrained(weights).eval(), AutoTokenizer.from_pretrained(weights)
    means = []
    for texts in (["a drawing of a box."], PROMPTS["disc"]):
        with torch.inference_mode():
            each = torch.cat([model.get_text_features(**tokenizer(text, return_tensors="pt"))[1] for text in texts])
        mean = (each / each.norm(dim=1, keepdim=True)).mean(dim=0).numpy()
        means.append(mean / np.linalg.norm(mean))
    head = tensors(unpack(out, tmp_path / "published") / "head.safetensors")
    scale = float(model.logit_scale.detach().exp())
    np.testing.assert_allclose(head["weight"], scale * np.stack(means), atol=1e-5)
    assert not head["bias"].any()


def test_what_is_published_is_what_was_best_bit_for_bit(
    learnt: tuple[str, Path], weights: Path, tmp_path: Path
) -> None:
    mode, out = learnt
    epochs = {
        line["epoch"]: (line["metrics"]["accuracy"], -line["metrics"]["val_loss"]) for line in lines(out, "epoch")
    }
    best = max(epochs, key=lambda epoch: epochs[epoch])
    last = out / "checkpoints" / "000004"
    assert json.loads((last / "state.json").read_text())["best_epoch"] == best
    saved = {epoch: out / "checkpoints" / f"{epoch:06d}" / "last.safetensors" for epoch in epochs}
    assert (last / "best.safetensors").read_bytes() == saved[best].read_bytes()
    assert len({path.read_bytes() for path in saved.values()}) == len(epochs)

    published, kept = unpack(out, tmp_path / "published"), tensors(saved[best])
    model, before = tensors(published / "model.safetensors"), tensors(weights / "model.safetensors")
    changed = {name for name in model if model[name].tobytes() != before[name].tobytes()}
    if mode == "linear-probe":
        assert changed == set()
        train = tensors(last / "features.safetensors")["train"]
        head, standardised = tensors(published / "head.safetensors"), (train - train.mean(0)) / train.std(0)
        theirs = standardised @ kept["weight"].T + kept["bias"]
        np.testing.assert_allclose(train @ head["weight"].T + head["bias"], theirs, atol=1e-3)
    else:
        assert changed <= kept.keys() and all(model[name].tobytes() == kept[name].tobytes() for name in kept)
        assert not any(name.startswith("text_") or ".layers.0." in name for name in kept)
        assert any(".layers.1." in name for name in changed)
    metrics = json.loads((out / "artifacts" / "metrics.json").read_text())
    assert metrics["val"]["accuracy"] == pytest.approx(epochs[best][0], abs=1e-5)


@pytest.mark.slow
def test_a_resumed_run_computes_what_the_uninterrupted_one_did(
    learnt: tuple[str, Path], run: Run, tmp_path: Path
) -> None:
    mode, out = learnt
    again = run(tmp_path / "out", mode, resume=shutil.copytree(out / "checkpoints" / "000002", tmp_path / "elsewhere"))
    assert [line["epoch"] for line in lines(again, "epoch")] == [3, 4]
    assert (again / "artifacts" / "model.zip").read_bytes() == (out / "artifacts" / "model.zip").read_bytes()


def test_a_run_does_not_resume_from_other_weights(learnt: tuple[str, Path], run: Run, tmp_path: Path) -> None:
    mode, out = learnt
    other = make_clip(tmp_path / "other", seed=1)
    with pytest.raises(WeightsUnavailable, match="other weights"):
        run(tmp_path / "out", mode, model=other, resume=out / "checkpoints" / "000002")


def test_nothing_in_a_checkpoint_or_a_model_can_run_when_it_is_read(learnt: tuple[str, Path]) -> None:
    _, out = learnt
    kept = {path.suffix for path in (out / "checkpoints" / "000004").iterdir()}
    with zipfile.ZipFile(out / "artifacts" / "model.zip") as archive:
        published = {Path(name).suffix for name in archive.namelist()}
    assert kept | published == {".safetensors", ".json", ".csv", ".txt"}


def test_a_published_model_predicts_the_class_of_an_image(learnt: tuple[str, Path], tmp_path: Path) -> None:
    _, out = learnt
    Image.new("RGB", (60, 30), "white").save(tmp_path / "a.png")
    predictions = clip.load(out / "artifacts" / "model.zip").predict(tmp_path / "a.png")
    assert {one.label for one in predictions} == {"box", "disc"}
    assert sum(one.score for one in predictions) == pytest.approx(1)
    assert predictions[0].score >= predictions[1].score


def test_evaluate_gives_the_metrics_of_the_run(learnt: tuple[str, Path], tree: Path, tmp_path: Path) -> None:
    _, out = learnt
    line = Channel(tmp_path)
    report = ChannelReporter(line, out=tmp_path, seconds_left=None, checkpoint_seconds=0, echo=False)
    clip.evaluate(out / "artifacts", tree, tmp_path, report, splits=["test"], batch=4, device="cpu")
    line.close()
    then, now = (json.loads((each / "metrics.json").read_text())["test"] for each in (out / "artifacts", tmp_path))
    assert {**then, "speed": None} == {**now, "speed": None}


def test_suspect_labels_come_from_the_pretrained_tower(learnt: tuple[str, Path], zero_shot: Path) -> None:
    mode, out = learnt
    if mode == "linear-probe":
        assert not (out / "artifacts" / "suspect_labels.json").exists(), "suspect_labels is off"
        return
    before, after = (json.loads((each / "artifacts" / "suspect_labels.json").read_text()) for each in (zero_shot, out))
    assert before["images"] == 42
    assert before["labels"] == after["labels"]


def test_prompts_of_an_unknown_class_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        run(tmp_path / "out", "zero-shot", prompts={"dics": ["a disc"]})
    assert [error["field"] for error in caught.value.facts["errors"]] == ["params.prompts.dics"]


@pytest.mark.parametrize(
    "broken", ["no safetensors", "no tokenizer", "another kind", "a part is missing", "not numbers"]
)
def test_unusable_weights_are_a_typed_failure(broken: str, run: Run, weights: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = shutil.copytree(weights, tmp_path / "weights")
    state = tensors(folder / "model.safetensors")
    if broken == "no safetensors":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif broken == "no tokenizer":
        for name in ("tokenizer.json", "vocab.json"):
            (folder / name).unlink()
    elif broken == "another kind":
        (folder / "config.json").write_text('{"model_type": "vit"}')
    elif broken == "a part is missing":
        kept = {name: value for name, value in state.items() if name != "text_projection.weight"}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
    else:
        empty = {name: np.full_like(value, np.nan) for name, value in state.items()}
        save_file(empty, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsUnavailable):
        run(tmp_path / "out", "zero-shot", model=folder)


def test_a_loss_that_is_not_a_number_is_diverged(run: Run, weights: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = shutil.copytree(weights, tmp_path / "weights")
    state = tensors(folder / "model.safetensors")
    save_file(
        state | {"visual_projection.weight": np.full_like(state["visual_projection.weight"], np.nan)},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(Diverged):
        run(tmp_path / "out", "fine-tune", model=folder)


@pytest.mark.slow
def test_without_weights_a_run_fails_before_anything_is_imported(tree: Path, tmp_path: Path) -> None:
    child = start_training(tmp_path / "out", tree, trainer="clip", params={"mode": "zero-shot"})
    assert child.end() == 1
    problem = child.problem()
    assert (problem["slug"], problem["facts"]) == ("weights-unavailable", {"model": "openai/clip-vit-base-patch32"})
    assert "transformers.imported" not in child.log()
