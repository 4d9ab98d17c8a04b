"""Metrics against numbers worked out by hand and against scikit-learn; reports of hostile names."""

from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation, ImageReference, LabelErrorSearch
from pipeline.evaluation.descriptors import LENGTH, describe_image
from pipeline.evaluation.label_errors import out_of_fold, rank_suspect_labels
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.split_predictions import SplitPredictions, softmax
from pipeline.evaluation.workbook import safe_cell


def predictions(
    labels: list[int], predicted: list[int], *, classes: tuple[str, ...] = ("a", "b", "c"), confidence: float = 0.8
) -> SplitPredictions:
    """The class in `predicted` has this confidence; the other classes share the rest."""
    probabilities = np.full((len(labels), len(classes)), (1 - confidence) / max(1, len(classes) - 1))
    probabilities[np.arange(len(labels)), predicted] = confidence
    paths = tuple(f"{index}.png" for index in range(len(labels)))
    return SplitPredictions(classes, paths, np.array(labels), probabilities)


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    # ground truth: a a a b b c     predicted: a a b b a b
    metrics = classification_metrics(predictions([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 1]))
    assert metrics["confusion_matrix"]["matrix"] == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert metrics["accuracy"] == 0.5
    rows = metrics["per_class"]
    assert (rows["a"]["precision"], rows["a"]["recall"], rows["a"]["f1"]) == (0.66667, 0.66667, 0.66667)
    assert (rows["b"]["precision"], rows["b"]["recall"], rows["b"]["f1"]) == (0.33333, 0.5, 0.4)
    assert (rows["c"]["precision"], rows["c"]["recall"], rows["c"]["f1"]) == (0.0, 0.0, 0.0)
    assert metrics["f1"] == pytest.approx((2 / 3 + 0.4) / 3, abs=1e-5)
    assert metrics["f1_weighted"] == pytest.approx((3 * 2 / 3 + 2 * 0.4) / 6, abs=1e-5)
    assert metrics["recall_weighted"] == metrics["accuracy"]
    pairs = [(pair["true"], pair["predicted"], pair["images"], pair["share"]) for pair in metrics["most_confused"]]
    assert pairs == [("a", "b", 1, 0.33333), ("b", "a", 1, 0.5), ("c", "b", 1, 1.0)]


def test_the_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(7, size=200), softmax(rng.normal(size=(200, 8)))  # the last class has no image
    split = SplitPredictions(tuple("abcdefgh"), ("",) * 200, labels, probabilities)
    metrics, predicted, every = classification_metrics(split), probabilities.argmax(axis=1), list(range(8))
    names = ("precision", "recall", "f1")
    for average, suffix in (("macro", ""), ("weighted", "_weighted")):
        present = list(range(7))
        expected = precision_recall_fscore_support(labels, predicted, labels=present, average=average, zero_division=0)
        assert [metrics[f"{name}{suffix}"] for name in names] == pytest.approx(expected[:3], abs=1e-5)
    per_class = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    for index, name in enumerate(split.classes[:7]):
        assert [metrics["per_class"][name][key] for key in names] == pytest.approx(
            [values[index] for values in per_class[:3]], abs=1e-5
        )
    assert metrics["confusion_matrix"]["matrix"] == confusion_matrix(labels, predicted, labels=every).tolist()
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-5)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, probabilities, labels=every), abs=1e-5)
    assert metrics["top5"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5, labels=every), abs=1e-5)


def test_a_class_without_images_in_the_split_is_not_measured_and_lowers_no_mean() -> None:
    metrics = classification_metrics(predictions([0, 1], [0, 1]))
    assert metrics["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "images": 0, "predicted": 0}
    assert metrics["f1"] == metrics["accuracy"] == 1.0


def test_the_calibration_error_is_the_distance_between_confidence_and_accuracy() -> None:
    metrics = classification_metrics(predictions([0, 0, 0, 1], [0, 0, 0, 0], confidence=0.9))  # 90 % sure, 75 % right
    assert metrics["calibration"]["ece"] == pytest.approx(0.15)
    assert metrics["calibration"]["bins"] == [
        {"from": 0.8667, "to": 0.9333, "images": 4, "confidence": 0.9, "accuracy": 0.75}
    ]


def test_top_five_counts_a_label_among_the_five_most_probable() -> None:
    logits = np.array([[6.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 3, 2, 1]])
    two = SplitPredictions(tuple("abcdef"), ("x", "y"), np.array([4, 5]), softmax(logits))
    assert classification_metrics(two)["top5"] == 0.5


def test_flipped_labels_are_ranked_first() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(4, size=400)
    features = rng.normal(size=(400, 20)) + 3 * np.eye(4, 20)[true]
    labels, flipped = true.copy(), rng.choice(400, 20, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 4
    probabilities = out_of_fold(features, labels.tolist(), [str(index) for index in range(400)], 4, seed=0)
    ranked = rank_suspect_labels(labels.tolist(), probabilities)
    first = [suspect for suspect in ranked[:40] if suspect.index in flipped]
    assert sorted(suspect.index for suspect in ranked) == list(range(400))
    assert len(first) >= 16
    assert np.mean([suspect.suggested == true[suspect.index] for suspect in first]) > 0.9
    flagged = [suspect.index for suspect in ranked if suspect.flagged]
    assert np.isin(flipped, flagged).mean() > 0.7


def test_equal_images_are_in_the_same_fold() -> None:
    """Of two equal images neither is in the part that the other one's head was fitted on."""
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(50, 60)), 2, axis=0)  # noise: only its duplicate predicts a label
    labels = np.repeat(rng.integers(2, size=50), 2)
    groups = [str(index // 2) for index in range(100)]
    grouped = out_of_fold(features, labels.tolist(), groups, 2, seed=0)
    assert abs((grouped.argmax(axis=1) == labels).mean() - 0.5) < 0.25
    separate = out_of_fold(features, labels.tolist(), [str(index) for index in range(100)], 2, seed=0)
    assert (separate.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize(("labels", "groups"), [([0, 0, 0], "abc"), ([0, 1, 2], "abc"), ([0, 1], "aa"), ([1], "a")])
def test_probabilities_are_finite_however_small_the_dataset_is(labels: list[int], groups: str) -> None:
    features = np.random.default_rng(0).normal(size=(len(labels), 9))
    probabilities = out_of_fold(features, labels, list(groups), 3, seed=0)
    assert probabilities.shape == (len(labels), 3)
    assert np.isfinite(probabilities).all()
    assert len(rank_suspect_labels(labels, probabilities)) == len(labels)


def test_the_same_seed_gives_the_same_probabilities() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 400)), rng.integers(3, size=60).tolist()
    names = [str(index) for index in range(60)]
    first, second = (out_of_fold(features, labels, names, 3, seed=4) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_an_image_of_any_size_is_described() -> None:
    for size in ((1, 1), (300, 20), (64, 64)):
        described = describe_image(Image.new("RGB", size, "orange"))
        assert described.shape == (LENGTH,)
        assert np.isfinite(described).all()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-5", "'-5"),
        (" =1+1", "' =1+1"),
        ("\n=1+1", "'\n=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),  # the full-width sign
        ("a=b", "a=b"),
        ("a\x00b", "a\ufffdb"),
        (-5, -5),
    ],
)
def test_text_of_an_upload_is_no_formula(value: str | int, kept: str | int) -> None:
    assert safe_cell(value) == kept


@pytest.mark.parametrize(
    "count",
    [1, 2, pytest.param(120, marks=pytest.mark.slow)],
    ids=["one class", "two classes", "many classes"],
)
def test_an_evaluation_is_written_for_any_number_of_classes(count: int, tmp_path: Path) -> None:
    classes = tuple(f"=class {index} <b>名前" for index in range(count))
    one = predictions([0, count - 1, 0], [0, 0, count - 1], classes=classes)
    image = Image.new("RGB", (30, 20), "red")
    ranked = tuple(rank_suspect_labels([0, count - 1, 0], one.probabilities)) if count > 1 else ()
    evaluation = ClassifierEvaluation(
        title="<i>title",
        facts={"Model": "=x"},
        classes=classes,
        predictions={"val": one},
        speeds={},
        openers={"val": lambda _: image},
        history=[],
        best_epoch=None,
        label_errors=LabelErrorSearch(
            tuple(ImageReference("val", index, f"+{index}.png") for index in range(3)),
            ranked,
            0.9,
            "none",
            {"val": lambda _: image},
        ),
    )
    write_evaluation(evaluation, tmp_path, raise_if_cancelled=lambda: None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<i>" not in page and "&lt;i&gt;title" in page
    book = load_workbook(tmp_path / "report.xlsx")
    assert book["Confusion val"].max_column == count + 1
    assert book["Predictions"].max_row == 4
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
