"""The pages of model versions: what they say, what their links open, hostile names, what is missing."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import httpx
import numpy as np
import pytest

from api.pages.models import CLASSES as LISTED
from core import clock
from core.db.tables import BundleRow, JobRow, OperationRow, VersionRow
from core.domain.errors import OperationFailed, Unavailable
from core.services.context import Platform
from core.services.models import versions
from core.services.models.evaluations import EvaluationRequest, request_evaluation
from core.services.models.exports import ExportChoice
from core.services.work.endings import fail_attempt
from core.services.work.leases import report_progress
from pipeline.bundle.zip_layout import write_bundle
from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.split_predictions import SplitPredictions
from tests.builders import answered, evaluated, published
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.builders.voc import image_bytes
from tests.integration.api.pages.test_shell import page_of

HOSTILE = "<script>alert(1)</script>\u202e" + "x" * 300
CLASSES = ("ball", HOSTILE)
TRUTH = np.array([[0, 10, 10, 40, 40], [1, 50, 5, 90, 60]], float)
BOTH = np.array([[10, 10, 40, 40, 0.9, 0], [50, 5, 90, 60, 0.8, 1]], float)
WRONG = np.array([[10, 10, 40, 40, 0.7, 1], [60, 30, 80, 50, 0.6, 0]], float)
PATHS = ("a <b>.jpg", "b.jpg", "wrong.jpg")
YARD = "/ui/projects/yard/versions/1"


@dataclass(frozen=True)
class Yard:
    job: JobRow
    version: VersionRow
    boxes: dict[str, ImageBoxes]


@pytest.fixture
def yard(platform: Platform) -> Iterator[Yard]:
    """A detector with figures of its training, and an indexed dataset."""
    contents = {path: image_bytes(size=(96, 64), seed=number) for number, path in enumerate(PATHS)}
    true_boxes = (box(0, 10, 10, 40, 40), box(1, 50, 5, 90, 60))
    images = {
        indexed_image(path, content, split="test", boxes=true_boxes): content for path, content in contents.items()
    }
    job = indexed_job(platform, images, classes=CLASSES, project="yard")
    boxes = {path: ImageBoxes(TRUTH, WRONG if path == "wrong.jpg" else BOTH) for path in PATHS}
    figures = answered.detector_metrics(list(boxes.values()), CLASSES, 0.5)
    figures["per_class"]["ball"]["recall"] = 0.9  # above that of the other one
    figures["confusion_matrix"] = {"labels": [*CLASSES, "background"], "matrix": [[2, 1, 0], [0, 2, 1], [1, 0, 0]]}
    yield Yard(job, answered.trained(platform, job, {"val": figures, "test": figures}), boxes)


def evaluate(platform: Platform, yard: Yard) -> str:
    return answered.evaluated_detector(platform, yard.version, yard.job, yard.boxes, CLASSES).id


def links(page: str, part: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'href="([^"]+)"', page) if part in unescape(each)]


def test_a_version_says_what_it_is_and_how_good(platform: Platform, client: httpx.Client, yard: Yard) -> None:
    answered.trained(platform, yard.job, {"test": {"mAP50": 0.5}})
    for number in ("v2", "v1"):
        versions.set_alias(platform.db, "yard", "production", version=number)
    page = page_of(client, YARD)
    assert "yard/d1" in page and "Val of d1" in page and "Test of d1" in page and "production" in page
    assert "Roll back to v2" in page and "/ui/projects/yard/compare?a=v2&amp;b=v1" in page
    assert "No test set is frozen" in page and "Predictions are not answered by this version yet" in page
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert f"/ui/datasets/{yard.job.id}/train?model=yard%2Fv1" in page or "train?model=yard/v1" in page
    page_of(client, "/ui/projects/yard/versions/9", 404)
    page_of(client, f"{YARD}?on=evaluation_of_another", 400)


def test_classes_are_sorted_by_any_figure(platform: Platform, client: httpx.Client, yard: Yard) -> None:
    def order(sort: str) -> list[str]:
        page = page_of(client, f"{YARD}?on=test&sort={sort}")
        return re.findall(r'<tr><th scope="row"><span class="class-name c(\d+)"', page)

    evaluation = evaluate(platform, yard)
    assert (order("recall"), order("-recall")) == (["1", "0"], ["0", "1"])
    assert order("nonsense") == ["0", "1"] and order("-class") == ["1", "0"]
    assert "selected" in page_of(client, f"{YARD}?on={evaluation}&sort=f1")


def test_of_many_classes_the_first_of_an_order_are_listed_and_all_are_one_link_away(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    per_class = {f"class {number}": {"recall": number / 200} for number in range(LISTED + 50)}
    answered.trained(platform, yard.job, {"test": {"mAP50": 0.5, "per_class": per_class}})
    first = page_of(client, "/ui/projects/yard/versions/2?sort=-recall")
    assert re.findall(r'class-name c\d+.*?title="class (\d+)"', first) == [str(149 - n) for n in range(LISTED)]
    (link,) = re.findall(r'href="([^"]+)">All 150 classes', first)
    everything = page_of(client, f"/ui/projects/yard/versions/2{unescape(link)}")
    assert re.findall(r'class-name c\d+.*?title="class (\d+)"', everything) == [str(149 - n) for n in range(150)]
    assert "all=true#classes-title" in everything and "All 150 classes" not in everything


def test_cells_of_a_training_have_no_images_and_the_page_says_what_makes_them(client: httpx.Client, yard: Yard) -> None:
    page = page_of(client, f"{YARD}/confusion")
    assert "needs an evaluation" in page and f'data-job="{yard.job.id}"' in page and links(page, "truth=") == []
    for path in ("thresholds", "images"):
        assert "data-evaluate " in page_of(client, f"{YARD}/{path}")


def test_pages_that_need_an_evaluation_say_how_far_it_is_or_why_there_is_none(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    request = EvaluationRequest(yard.job.id, version="yard/v1")
    claim = evaluated.claimed(platform, request_evaluation(platform, request).operation.id)
    report_progress(platform.db, OperationRow, claim, stage="predicting", progress={"done": 1, "total": 3})
    for path in ("", "/confusion", "/thresholds", "/images"):
        page = page_of(client, f"{YARD}{path}")
        assert f'data-operation="{claim.id}"' in page and "1 of 3" in page and "data-evaluate " not in page, path
    fail_attempt(platform.db, OperationRow, claim, OperationFailed("The model <b> cannot be read."))
    for path in ("confusion", "thresholds", "images"):
        page = page_of(client, f"{YARD}/{path}")
        assert "The model &lt;b&gt; cannot be read." in page and "Evaluate again" in page and claim.id not in page


def test_pages_say_what_the_database_knows_while_the_store_does_not_answer(
    platform: Platform, client: httpx.Client, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_args: object, **_kw: object) -> None:
        raise Unavailable("The object store does not answer.", service="store")

    evaluation = evaluate(platform, yard)
    for name in ("open", "fetch"):
        monkeypatch.setattr(type(platform.store), name, down)
    for path in (f"?on={evaluation}", "/confusion", "/confusion?truth=0&predicted=1", "/thresholds", "/images"):
        page = page_of(client, f"{YARD}{path}")
        assert "The object store does not answer." in page and "yard/d1" in page, path
        assert f'<a class="button" href="{escape(YARD + path)}">Retry</a>' in page
    assert "Confusion matrix" in page_of(client, f"{YARD}/confusion"), "that of the training"
    findings = indexed_job(platform, {indexed_image("a.jpg"): b"1"}, findings=[("box-tiny", "a.jpg")])
    page = page_of(client, f"/ui/datasets/{findings.id}/findings")
    assert "The object store does not answer." in page and 'class="place"' in page


def test_a_version_leads_to_what_comes_next(platform: Platform, client: httpx.Client, yard: Yard) -> None:
    page = page_of(client, YARD)
    assert "Promote to production" in page and "Compare" not in page.split("</h1>")[1].split("version-facts")[0]
    answered.trained(platform, yard.job, {"test": {"mAP50": 0.6}})
    versions.set_alias(platform.db, "yard", "production", version="v1")
    page = page_of(client, "/ui/projects/yard/versions/2")
    assert "Promote to production" in page and "<code>production</code> is v1 now" in page
    assert links(page, "compare?a=v1&b=v2") and "Compare with production" in page
    assert "Promote to production" not in page_of(client, YARD)


def test_a_cell_opens_the_images_behind_it(platform: Platform, client: httpx.Client, yard: Yard) -> None:
    evaluation = evaluate(platform, yard)
    page = page_of(client, f"{YARD}/confusion")
    cells = {tuple(map(int, re.findall(r"(?:truth|predicted)=(\d+)", each))) for each in links(page, "truth=")}
    assert cells == {(0, 0), (1, 1), (0, 1), (1, 2), (2, 0)}
    behind = page_of(client, f"{YARD}/confusion?on={evaluation}&truth=0&predicted=1")
    assert links(behind, "#edit") == [f"/ui/datasets/{yard.job.id}/images?image=wrong.jpg#edit"]
    sha256 = next(iter(re.findall(r"/dataset/images/job_\w+/(\w{64})", behind)))
    assert client.get(f"/dataset/images/{yard.job.id}/{sha256}?size=128").status_code == 200
    assert len(re.findall(r'class="box false[^>]+data-partner', behind)) == 2
    assert len(re.findall(r'class="box missed[^>]+data-partner', behind)) == 2
    assert "data-false-count>2<" in behind and "data-missed-count>2<" in behind
    assert "No image is in this cell" in page_of(client, f"{YARD}/confusion?truth=1&predicted=0")
    both = page_of(client, f"{YARD}/confusion?truth=0&predicted=0")
    assert "image=a%20%3Cb%3E.jpg" in both and "<b>.jpg" not in both
    page_of(client, f"{YARD}/confusion?truth=0&predicted=1&cursor=nonsense", 400)
    assert "Choose a cell" in page_of(client, f"{YARD}/confusion?truth=0&predicted=77")


def test_thresholds_have_every_box_and_the_figures_at_that_of_the_version(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    evaluate(platform, yard)
    page = page_of(client, f"{YARD}/thresholds")
    curve = json.loads(unescape(next(iter(re.findall(r"data-curve='([^']+)'", page)))))
    assert len(curve["x"]) == len(curve["f1"]) == 99 and 'data-chosen="0.5"' in page
    at = curve["x"].index(0.5)
    listed = dict(re.findall(r'data-at="(\w+)">([\d.]+)<', page))
    assert {name: f"{curve[name][at]:.3f}" for name in ("precision", "recall", "f1")} == listed
    assert len(re.findall(r'<g class="box \w+" data-partner="-?\d+" data-class="\d+" data-score=', page)) == 6
    one = page_of(client, f"{YARD}/thresholds?class=ball&order=path")
    assert 'data-class="0"' in one and "for this class" in one


def test_worst_images_come_first_and_suspects_are_what_the_labels_deny(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    evaluate(platform, yard)
    worst = page_of(client, f"{YARD}/images")
    assert "wrong.jpg" in links(worst, "#edit")[0] and len(links(worst, "#edit")) == 3
    assert len(links(page_of(client, f"{YARD}/images?order=suspect"), "#edit")) == 1


def test_an_old_evaluation_is_to_be_made_again(platform: Platform, client: httpx.Client, yard: Yard) -> None:
    row = evaluated.evaluation(platform, yard.job.id, {"mAP50": 0.5, "images": 3}, version="yard/v1")
    page = page_of(client, f"{YARD}/thresholds")
    assert f'data-evaluate-again="{row.id}"' in page and "older" in page
    listed = page_of(client, f"{YARD}/evaluations")
    assert f"/evaluations/{row.id}/artifacts/report.html" in listed and "0.500" in listed


def test_exports_say_why_they_were_refused_and_what_is_being_made(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    page = page_of(client, f"{YARD}/exports")
    assert "No export yet" in page and "choose onnx and fp32; then the bundle can be made" in page
    first = client.post("/models/yard/v1/exports", json={"format": "onnx", "precision": "fp16"}).json()
    assert "is being made and compared" in page_of(client, YARD)
    client.post(f"/operations/{first['operation_id']}/cancel")
    reason = "mAP50-95 fell by 0.031 <b>"
    published.export(platform, yard.version, b"int8", ExportChoice("onnx", "int8"), passed=False, reasons=[reason])
    published.export(platform, yard.version, b"onnx")
    made = client.post("/models/yard/v1/exports", json={"format": "openvino"}).json()
    assert "is being made and compared" not in page_of(client, YARD), "the ONNX answers"
    page = page_of(client, f"{YARD}/exports")
    assert "mAP50-95 fell by 0.031 &lt;b&gt;" in page and "refused" in page and "force=true" in page
    assert f'data-topics="{made["operation_id"]}"' in page and "Make the bundle" in page
    assert "onnx fp32, certificate" in page_of(client, YARD)


def test_an_onnx_that_was_refused_is_deleted_at_the_page_so_that_a_bundle_can_be_made(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    published.export(platform, yard.version, b"onnx", passed=False, reasons=["boxes differ"])
    page = page_of(client, f"{YARD}/exports")
    assert "Delete that export" in page
    button = re.search(r'data-call="DELETE" data-path="([^"]+)" data-confirm="Delete this export\?"', page)
    assert button and client.delete(button[1]).status_code == 204
    page = page_of(client, f"{YARD}/exports")
    assert "No export yet" in page and "choose onnx and fp32; then the bundle can be made" in page


def test_a_classifier_has_images_by_loss_and_suspect_labels(platform: Platform, client: httpx.Client) -> None:
    names, labels = ("cat", "dog"), np.array([0, 1, 0])
    images = {indexed_image(f"{n}.jpg", bytes([n]), split="test", label=int(labels[n])): bytes([n]) for n in range(3)}
    job = indexed_job(platform, images, classes=names, kind="classification", project="pets")
    paths = tuple(image.path for image in images)
    predictions = SplitPredictions(names, paths, labels, np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]))
    suspect = {"path": "2.jpg", "label": "cat", "suggested": "dog", "flagged": "yes"}
    found = {"images": 3, "flagged": 1, "out_of_fold_accuracy": 0.9}
    found["labels"] = [suspect | {"label_probability": 0.1, "suggested_probability": 0.9}]  # type: ignore[assignment]
    metrics = {"test": {"accuracy": 0.667, "images": 3}}
    contents = {"suspect_labels.json": json.dumps(found).encode()}
    version = answered.trained(platform, job, metrics, contents=contents)
    base = "/ui/projects/pets/versions/1"
    assert "Accuracy" in page_of(client, base)
    answered.evaluated_classifier(platform, version, job, predictions)
    assert "2.jpg" in links(page_of(client, f"{base}/images"), "#edit")[0]
    assert links(page_of(client, f"{base}/suspects"), "#edit") == [f"/ui/datasets/{job.id}/images?image=2.jpg#edit"]
    assert "marked as unsure" in page_of(client, f"{base}/thresholds")
    behind = page_of(client, f"{base}/confusion?truth=0&predicted=1")
    assert len(links(behind, "#edit")) == 1


def test_versions_are_listed_with_a_figure_on_each_dataset(
    platform: Platform, client: httpx.Client, yard: Yard
) -> None:
    evaluate(platform, yard)
    answered.trained(platform, yard.job, {"test": {"mAP50": 0.123}})
    page = page_of(client, "/ui/projects/yard/models")
    assert re.findall(r"/versions/(\d+)\">v", page) == ["2", "1"] and "0.123" in page
    assert links(page, "/versions/1/confusion?on=")
    worst_first = page_of(client, f"/ui/projects/yard/models?sort=-{yard.job.id}")
    best_first = page_of(client, f"/ui/projects/yard/models?sort={yard.job.id}")
    orders = [re.findall(r"/versions/(\d+)\">v", each) for each in (worst_first, best_first)]
    assert orders == [["2", "1"], ["1", "2"]]
    client.post("/projects", json={"project": "empty"})
    assert "No model yet" in page_of(client, "/ui/projects/empty/models")


def test_many_classes_begin_with_those_that_are_confused(platform: Platform, client: httpx.Client) -> None:
    names = tuple(f"class {number}" for number in range(80))
    images = {indexed_image("a.jpg", b"a", split="test"): b"a"}
    job = indexed_job(platform, images, classes=names, project="street")
    truth = np.array([[number, 0, number, 9, number + 0.9] for number in range(80)], float)
    found = np.column_stack((truth[:, 1:], np.full(80, 0.9), (truth[:, 0] + (truth[:, 0] < 6)) % 80))
    version = answered.trained(platform, job, {"test": {"mAP50": 0.5}})
    answered.evaluated_detector(platform, version, job, {"a.jpg": ImageBoxes(truth, found)}, names)
    base = "/ui/projects/street/versions/1/confusion"
    heads = [len(re.findall(r'<th scope="col"><bdi', page_of(client, f"{base}{part}"))) for part in ("", "?part=all")]
    assert heads == [8, 81]


def test_the_model_card_is_read_out_of_the_bundle(
    platform: Platform, client: httpx.Client, yard: Yard, tmp_path: Path
) -> None:
    assert "It is written with the bundle" in page_of(client, f"{YARD}/files")
    card = (
        "---\nlicense: other\n---\n\n# yard/v1\n\n## Figures\n\n| a | b |\n| --- | ---: |\n| x | 0.5 |\n\n"
        "![Matrix](images/m.png) <script>alert(1)</script> [bad](javascript:alert(1))\n"
    )
    files = {"LICENCES.md": b"none", "README.md": card.encode(), "best.pt": b"weights"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    write_bundle(tmp_path / "bundle.zip", [(name, tmp_path / name) for name in files])
    export = published.export(platform, yard.version, b"onnx")
    key, size, sha256 = published.put(platform, "bundles/yard.zip", (tmp_path / "bundle.zip").read_bytes())
    with platform.db.transaction() as session:
        session.add(
            BundleRow(
                version_id=yard.version.id,
                export_id=export.id,
                project_id=yard.version.project_id,
                operation_id=export.operation_id,
                key=key,
                bytes=size,
                sha256=sha256,
                contents=[
                    {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                    for name, content in files.items()
                ],
                created_at=clock.now(),
            )
        )
    page = page_of(client, f"{YARD}/files")
    assert '<td class="right">0.5</td>' in page and 'src="/models/yard/v1/artifacts/m.png"' in page
    assert "license: other" not in page and "<script>alert" not in page and 'href="javascript' not in page
    assert "3 files" in page_of(client, f"{YARD}/exports")
