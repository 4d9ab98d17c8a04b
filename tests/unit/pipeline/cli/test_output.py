"""What the terminal and the JSON say about thresholds."""

from PIL import Image

from pipeline.cli.output import classification
from pipeline.cli.output.text_table import at_thresholds
from pipeline.dataset.predictions import PredictedLabel


def test_an_unsure_answer_is_still_the_answer_and_says_so() -> None:
    unsure = [PredictedLabel("waving", 1, 0.42, 0.43), PredictedLabel("sitting", 0, 0.36, 0.3)]
    first, second = classification.lines(unsure)
    assert first == "waving 0.42  unsure: not above 0.43, the threshold of waving" and second == "sitting 0.36"
    written = classification.as_json(unsure)
    assert written["sure"] is False
    assert written["labels"][0] == {"label": "waving", "class_index": 1, "score": 0.42, "threshold": 0.43}
    sure = [PredictedLabel("sitting", 0, 0.58, 0.3), PredictedLabel("waving", 1, 0.42, 0.43)]
    assert classification.lines(sure)[0] == "sitting 0.58" and classification.as_json(sure)["sure"] is True
    image = Image.new("RGB", (20, 10))
    drawn = [classification.draw(image, labels) for labels in (unsure, sure, [])]
    assert drawn[0].size == drawn[1].size and drawn[0].tobytes() != drawn[1].tobytes()


def test_the_figures_above_the_thresholds_are_listed_by_class() -> None:
    figures = {"precision": 0.5, "recall": None, "f1": 0.25}
    test = {"at_threshold": figures, "per_class": {"ball": {"at_threshold": figures}}}
    thresholds = {"all": 0.4, "source": "val", "classes": {"ball": 0.3}, "sources": {"ball": "all"}}
    lines = at_thresholds({"val": None, "test": test, "thresholds": thresholds})
    assert [line.split() for line in lines[2:5]] == [
        ["class", "threshold", "by", "precision", "test", "recall", "test", "f1", "test"],
        ["all", "0.400", "val", "0.500", "-", "0.250"],
        ["ball", "0.300", "all", "0.500", "-", "0.250"],
    ]
    assert at_thresholds({"val": None}) == []
