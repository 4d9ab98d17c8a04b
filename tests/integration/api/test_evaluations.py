"""Evaluations over HTTP: requested, listed, read, downloaded, deleted; and the matrix of a project."""

import csv
import io
import re
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from api.web.matrix_svg import CELL
from api.web.svg_text import width_of
from core.db.tables import VersionRow
from core.services.context import Platform
from core.services.models import evaluation_matrix
from core.services.models.versions import set_alias
from tests.builders import lineage
from tests.builders.evaluated import REPORT, claimed, evaluation, export, published
from tests.servers.api import problem

SVG = "{http://www.w3.org/2000/svg}"
METRICS = {
    "mAP50": 0.81,
    "f1": 0.7,
    "images": 48,
    "intervals": {"mAP50": [0.77, 0.85]},
    "seen": {"known": True, "images": 2, "same": 1, "near": 1},
    "unseen": {"mAP50": 0.8, "images": 46},
    "classes": {"compared": ["cat"], "missing": ["star"], "extra": [], "counts": {"missing": 1}},
}
HOSTILE = '</title><script>alert(1)</script>&\u202e"\x0b'
MATRIX = "/projects/raccoons/evaluations/matrix"


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    """Trained on raccoons/d1; there is a d2 of other images."""
    first = lineage.dataset(platform, "first")
    lineage.dataset(platform, HOSTILE)
    return lineage.version(platform, first.id, 0.9)


def _post(client: httpx.Client, status: int = 202, **body: Any) -> dict[str, Any]:
    answer = client.post("/evaluations", json=body)
    assert answer.status_code == status, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


def test_an_evaluation_is_requested_once_and_read_with_its_report(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    queued = _post(client, version="raccoons", job_id="raccoons/d2")
    assert (queued["kind"], queued["project"], queued["params"]["name"]) == ("evaluate", "raccoons", "raccoons/v1")
    assert _post(client, 200, version="v1", job_id=queued["job_id"])["operation_id"] == queued["operation_id"]
    published(platform, claimed(platform, queued["operation_id"]), METRICS)
    done = _post(client, 200, version="raccoons/v1", job_id="raccoons/d2", split="test")
    assert (done["operation_id"], done["state"]) == (queued["operation_id"], "succeeded")

    found = client.get(done["links"]["evaluation"]).json()
    named = {name: found[name] for name in ("version", "dataset", "split", "export", "metrics")}
    assert named == {
        **{"version": "raccoons/v1", "dataset": "raccoons/d2", "split": "test"},
        **{"export": None, "metrics": METRICS},
    }
    assert all(client.get(path).status_code == 200 for path in found["links"].values())
    (artifact,) = found["artifacts"]
    assert artifact["links"]["self"] == found["links"]["report"]
    report = client.get(found["links"]["report"], headers={"range": "bytes=2-8"})
    assert (report.status_code, report.content) == (206, REPORT[2:9])
    assert report.headers["content-disposition"].startswith('attachment; filename="raccoons-v1-d2-test-report.html"')
    head = client.head(found["links"]["report"])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(REPORT)))
    problem(client.get(f"{found['links']['self']}/artifacts/best.pt"), 404, "artifact-not-found")

    listed = client.get("/evaluations", params={"project": "raccoons", "version": "raccoons/v1"}).json()
    assert [each["evaluation_id"] for each in listed["items"]] == [found["evaluation_id"]]
    named, other = (client.get("/evaluations", params={"job_id": f"raccoons/{each}"}).json() for each in ("d2", "d1"))
    assert (named, other["items"]) == (listed, [])
    problem(client.get("/evaluations", params={"job_id": "raccoons/d9"}), 404, "job-not-found")
    assert client.delete(found["links"]["self"]).status_code == 204
    for method in ("GET", "DELETE"):
        problem(client.request(method, found["links"]["self"]), 410, "gone")
    problem(client.get(found["links"]["report"]), 410, "gone")


def test_requests_that_name_nothing_or_too_much(client: httpx.Client, platform: Platform, version: VersionRow) -> None:
    failed = export(platform, version, passed=False)
    for body, status, slug in (
        ({"job_id": "raccoons/d1"}, 400, "request-invalid"),
        ({"version": "v1", "export": failed.id, "job_id": "raccoons/d1"}, 400, "request-invalid"),
        ({"version": "v1", "job_id": "raccoons/d1", "splits": "test"}, 400, "request-invalid"),
        ({"version": "yolov8n.pt", "job_id": "raccoons/d1"}, 404, "version-not-found"),
        ({"version": "raccoons@candidate", "job_id": "raccoons/d1"}, 404, "alias-not-found"),
        ({"version": "v1", "job_id": "raccoons/d9"}, 404, "job-not-found"),
        ({"export": "export_none", "job_id": "raccoons/d1"}, 404, "export-not-found"),
        ({"export": failed.id, "job_id": "raccoons/d1"}, 409, "export-not-passed"),
    ):
        problem(client.post("/evaluations", json=body), status, slug)
    assert _post(client, export=failed.id, job_id="raccoons/d1", force=True)["state"] == "queued"
    problem(client.get("/evaluations/evaluation_none"), 404, "evaluation-not-found")


def _history(platform: Platform, version: VersionRow) -> None:
    """v1 measured by its training on d1, evaluated on d2 and as an export; v2 evaluated nowhere; v1 on otters/d1."""
    evaluation(platform, "raccoons/d2", {"mAP50": 0.2, "images": 48}, version="raccoons/v1")
    evaluation(platform, "raccoons/d2", {"mAP50": 0.9, "images": 48}, version="raccoons/v1", split="val")
    int8 = export(platform, version)
    evaluation(platform, "raccoons/d2", METRICS | {"mAP50": 0.79}, export=int8.id)
    lineage.dataset(platform, "Otters", project="otters")
    evaluation(platform, "otters/d1", METRICS, version="raccoons/v1")
    lineage.version(platform, str(version.job_id), 0.95)
    set_alias(platform.db, "raccoons", "production", version="v1")


def test_the_matrix_has_each_figure_in_its_place(client: httpx.Client, platform: Platform, version: VersionRow) -> None:
    _history(platform, version)
    matrix = client.get(MATRIX).json()
    assert [each["name"] for each in matrix["datasets"]] == ["raccoons/d1", "raccoons/d2", "otters/d1"]
    assert [(row["version"], row["export"], row["aliases"]) for row in matrix["rows"]] == [
        ("raccoons/v2", None, []),
        ("raccoons/v1", None, ["production"]),
        ("raccoons/v1", "onnx int8", ["production"]),
    ]
    figures = [[(cell["source"], cell["value"]) for cell in row["cells"]] for row in matrix["rows"]]
    assert figures == [
        [("training", 0.95), (None, None), (None, None)],
        [("training", 0.9), ("evaluation", 0.2), ("evaluation", 0.81)],
        [(None, None), ("evaluation", 0.79), (None, None)],
    ]
    cell = matrix["rows"][1]["cells"][2]
    marks = ("low", "high", "images", "seen_images", "seen_known", "unseen", "missing_classes")
    assert [cell[name] for name in marks] == [0.77, 0.85, 48, 2, True, 0.8, 1]
    for row in matrix["rows"]:
        for cell in row["cells"]:
            assert client.get(next(iter(cell["links"].values()))).status_code == 200
    assert client.get(MATRIX, params={"split": "val"}).json()["rows"][1]["cells"][1]["value"] == 0.9
    assert client.get(MATRIX, params={"metric": "f1"}).json()["rows"][1]["cells"][2]["value"] == 0.7
    problem(client.get(MATRIX, params={"metric": "accuracy"}), 400, "request-invalid")
    page = client.get(MATRIX, params={"limit": 1}).json()
    older = client.get(page["links"]["next"]).json()
    table = client.get(older["links"]["csv"]).text
    assert "raccoons/v1" in table and "raccoons/v2" not in table, "the links are those of the page"
    assert [row["version"] for row in [*page["rows"], *older["rows"]]] == ["raccoons/v2", "raccoons/v1", "raccoons/v1"]
    problem(client.get("/projects/otter/evaluations/matrix"), 404, "project-not-found")


def test_the_matrix_as_a_table_and_as_a_drawing(client: httpx.Client, platform: Platform, version: VersionRow) -> None:
    _history(platform, version)
    table = client.get(MATRIX, params={"format": "csv"})
    assert table.content == client.get(MATRIX, headers={"accept": "text/csv"}).content
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert [(line["version"], line["raccoons/d1"], line["raccoons/d2"]) for line in lines] == [
        ("raccoons/v2", "0.95", ""),
        ("raccoons/v1", "0.9", "0.2"),
        ("raccoons/v1", "", "0.79"),
    ]
    assert (lines[1]["raccoons/d1 source"], lines[1]["otters/d1 seen_images"]) == ("training", "2")

    answer = client.get(MATRIX, headers={"accept": "image/svg+xml"})
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    root = ElementTree.fromstring(answer.content)
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"0.950", "0.900", "0.200", "0.810", "0.790", "2 seen", "unseen 0.800", "−1 cl.", "onnx int8"} <= set(texts)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "text", "path", "g", "a")
    }
    assert width_of("unseen 0.800", 11) + width_of("−12 cl.", 11, bold=True) <= CELL - 24, "on one line"
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert any("</title><script>alert(1)</script>&\ufffd" in title for title in titles)
    assert any("measured when it was published" in title for title in titles)
    interval, seen = "between 0.7700 and 0.8500", "2 images seen in training, 0.8000 without"
    assert any(interval in title and seen in title for title in titles)
    assert all(link.get("href", "").startswith("/") for link in root.iter(f"{SVG}a"))
    assert not re.search(rb"url\(|@import|@font-face| on[a-z]+=", answer.content)


def test_the_matrix_of_a_project_without_versions(client: httpx.Client, platform: Platform) -> None:
    lineage.dataset(platform, "first")
    matrix = client.get(MATRIX).json()
    assert (len(matrix["datasets"]), matrix["rows"], matrix["next_cursor"]) == (1, [], None)
    assert "No versions yet" in client.get(MATRIX, params={"format": "svg"}).text


def test_the_newest_datasets_are_columns_and_others_are_said_to_be_left_out(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_matrix, "MAX_DATASETS", 2)
    for name in ("first", "second", "third"):
        job = lineage.dataset(platform, name)
    lineage.version(platform, job.id, 0.9)
    matrix = client.get(MATRIX).json()
    assert [each["title"] for each in matrix["datasets"]] == ["second", "third"] and matrix["datasets_left_out"]
    assert [cell["value"] for cell in matrix["rows"][0]["cells"]] == [None, 0.9]
    assert "older datasets are left out" in client.get(MATRIX, params={"format": "svg"}).text


def test_evaluations_beyond_those_of_a_page_are_said_to_be_left_out(
    client: httpx.Client, platform: Platform, version: VersionRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(platform, version)
    assert not client.get(MATRIX).json()["evaluations_left_out"]
    monkeypatch.setattr(evaluation_matrix, "MAX_CELLS", 1)
    matrix = client.get(MATRIX).json()
    measured = [cell for row in matrix["rows"] for cell in row["cells"] if cell["source"] == "evaluation"]
    assert matrix["evaluations_left_out"] and len(measured) == 1
    assert "older evaluations are left out" in client.get(MATRIX, params={"format": "svg"}).text
