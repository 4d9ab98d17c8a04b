"""What objects display in a notebook: sound HTML, whatever the names in it are."""

import io
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from darkroom.schemas import Answer, Dataset, ModelVersion, Prediction, Run
from darkroom.schemas.decode import decode
from tests.builders.documented_service import SCHEMAS, example

HOSTILE = """</text></svg><script>alert(1)</script>"'&<img src=x onerror=alert(1)>"""
ALLOWED = {"div", "b", "p", "img", "svg", "rect", "text", "polyline", "table", "tr", "th", "td"}


class Tags(HTMLParser):
    """Tags and attributes, as a browser reads them; the texts, unescaped."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def made(kind: type[Any], schema: str) -> Any:
    return decode(kind, example(SCHEMAS[schema], whole=True))


def prediction(**lists: Any) -> Prediction:
    answer = made(Answer, "Answer")
    (image,) = answer.images
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(buffer, "JPEG")
    image = replace(image, error=None, width=64, height=48, **lists)
    return Prediction(replace(answer.model, name=HOSTILE), image, image=buffer.getvalue())


def displayed() -> dict[str, Any]:
    (image,) = made(Answer, "Answer").images
    box, label = replace(image.boxes[0], label=HOSTILE), replace(image.labels[0], label=HOSTILE)
    dataset = replace(made(Dataset, "Job"), dataset=HOSTILE, problem=None, kind="detection", classes=(HOSTILE,))
    counts = {"per_class": {HOSTILE: {"boxes": {"train": 7, "val": 2, "test": 1}}}, "images": {"train": 4}}
    figures = {"mAP50": 0.91, HOSTILE: 0.5, "per_class": {HOSTILE: {"mAP50": 0.91}}}
    epochs = tuple({"epoch": number, "metrics": {HOSTILE: number / 3}} for number in (1, 2, 3))
    return {
        "boxes": prediction(boxes=(box,), labels=()),
        "classes": prediction(boxes=(), labels=(label,)),
        "error": replace(prediction(), answer=replace(image, error=HOSTILE)),
        "dataset": replace(dataset, metadata=counts),
        "dataset not described": dataset,
        "version": replace(made(ModelVersion, "ModelVersion"), name=HOSTILE, metrics={"test": figures}),
        "run": replace(made(Run, "Run"), trainer=HOSTILE, problem=None, epochs=epochs),
    }


@pytest.mark.parametrize("name", list(displayed()))
def test_a_hostile_name_is_a_text_in_a_notebook(name: str) -> None:
    page = Tags(displayed()[name]._repr_html_())
    assert set(page.tags) <= ALLOWED and not any(each.startswith("on") for each in page.attributes)
    assert HOSTILE in page.text


def test_a_prediction_displays_its_image_upright_and_no_file_of_another_kind() -> None:
    rendered = displayed()["boxes"]
    assert 'src="data:image/jpeg;base64,' in rendered._repr_html_()
    assert 'viewBox="0 0 64 48"' in rendered._repr_html_(), "boxes have the coordinates of the upright image"
    assert "<img" not in replace(rendered, image=b"<svg onload=alert(1)>")._repr_html_()


def test_figures_are_displayed_by_split_and_class() -> None:
    assert "0.910" in Tags(displayed()["version"]._repr_html_()).text
    assert "721" in Tags(displayed()["dataset"]._repr_html_()).text
    assert "polyline" in Tags(displayed()["run"]._repr_html_()).tags
