"""Exports over HTTP: requested, listed side by side, plotted, downloaded, deleted. None is made here."""

import hashlib
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import update

from core.db.tables import OperationRow, VersionRow
from core.domain.errors import OperationFailed
from core.services.context import Platform
from core.services.models.exports import ExportChoice
from core.services.work import endings
from tests.builders import published
from tests.builders.exports import claimed_export
from tests.builders.lineage import imported
from tests.servers.api import problem

PATH = "/models/raccoons/v1/exports"
FILE = bytes(range(256)) * 40
OPENVINO = ExportChoice("openvino", "fp16")
FAILED = {"passed": False, "reasons": ["Outputs for the same input differ by 0.4; allowed is 0.001."]}


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    return published.version(platform, published.ready_job(platform, project="raccoons").id, b"weights")


def _post(client: httpx.Client, body: dict[str, Any], *, key: str = "", path: str = PATH) -> httpx.Response:
    return client.post(path, json=body, headers={"idempotency-key": key} if key else {})


def test_a_request_is_an_operation_and_its_repetition_the_same_one(client: httpx.Client, version: VersionRow) -> None:
    first = _post(client, {}, key="one")
    assert first.status_code == 202, first.text
    operation = first.json()
    assert (operation["kind"], operation["state"], operation["job_id"]) == ("export", "queued", version.job_id)
    assert operation["params"] == {
        "name": "raccoons/v1",
        "version_id": version.id,
        "format": "onnx",
        "precision": "fp32",
        "nms": "outside",
        "max_drop": None,
        "on_publish": False,
    }
    again = _post(client, {"format": "onnx"}, key="two", path=f"/models/{version.job_id}/latest/exports")
    assert (again.status_code, again.json()["operation_id"]) == (200, operation["operation_id"])
    replayed = _post(client, {"format": "onnx"}, key="two", path=f"/models/{version.job_id}/latest/exports")
    assert (replayed.status_code, replayed.headers["idempotency-replayed"]) == (200, "true")
    assert _post(client, {}, key="one").json() == operation
    problem(_post(client, {"precision": "fp16"}, key="one"), 422, "idempotency-key-reused")
    assert _post(client, {"format": "openvino"}).status_code == 202
    waited = client.post(f"{PATH}?wait=0.1", json={})
    assert (waited.status_code, waited.json()["state"]) == (200, "queued")
    listed = client.get("/operations", params={"kind": "export"}).json()["items"]
    assert [each["params"]["format"] for each in listed] == ["openvino", "onnx"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "coreml"}, "format"),
        ({"format": "torchscript", "precision": "fp16"}, "precision"),
        ({"precision": "fp64"}, "precision"),
        ({"max_drop": 0.02}, "max_drop"),
        ({"max_drop": 2}, "max_drop"),
        ({"nms": "both"}, "nms"),
        ({"formt": "onnx"}, "formt"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    client: httpx.Client, version: VersionRow, body: dict[str, Any], field: str
) -> None:
    assert version.number == 1
    answer = problem(_post(client, body), 400, "request-invalid")
    assert [error["field"] for error in answer["errors"]] == [field]
    assert client.get("/operations").json()["items"] == []


def test_all_formats_stand_side_by_side_with_what_waits_and_what_failed(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    made = published.export(platform, version, FILE)
    int8 = published.export(platform, version, b"int8", ExportChoice("onnx", "int8"), **FAILED)
    failed = claimed_export(platform, version, OPENVINO)
    endings.fail_attempt(platform.db, OperationRow, failed, OperationFailed("It crashed."))
    waiting = _post(client, {"format": "torchscript"}).json()
    found = client.get(PATH).json()
    assert [(each["export_id"], each["passed"], each["reasons"]) for each in found["items"]] == [
        (int8.id, False, FAILED["reasons"]),
        (made.id, True, []),
    ]
    first = found["items"][1]
    assert (first["speed_up"], first["bytes"], first["engine"]) == (1.7, len(FILE), "onnxruntime 1.32.0")
    assert first["predictions"] == {"compared": 160, "equal": 160, "share": 1.0}
    assert first["figure"]["low"] < first["figure"]["change"] < first["figure"]["high"]
    assert found["baseline"] == {
        "framework": "pytorch",
        "figure": "mAP50-95",
        "value": 0.812,
        "milliseconds": first["milliseconds"]["model"],
        "compared_with": int8.id,
    }
    assert [each["operation_id"] for each in found["waiting"]] == [waiting["operation_id"]]
    assert [(each["operation_id"], each["problem"]["detail"]) for each in found["failed"]] == [
        (failed.id, "It crashed.")
    ]
    assert client.get(first["links"]["self"]).json() == first
    assert client.get(first["links"]["certificate"]).json()["device"] == "x86_64"
    page = client.get(PATH, params={"limit": 1}).json()
    rest = client.get(PATH, params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert [each["export_id"] for each in (*page["items"], *rest["items"])] == [int8.id, made.id]
    assert client.get("/models/raccoons/v1").json()["links"]["exports"] == f"/models/{version.job_id}/v1/exports"
    operation = client.get(first["links"]["operation"]).json()
    assert client.get(operation["links"]["export"]).json()["export_id"] == made.id
    problem(client.get(PATH, params={"formt": "onnx"}), 400, "request-invalid")


def test_an_export_is_downloaded_whole_in_ranges_and_with_its_digest(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    made = published.export(platform, version, FILE)
    path = f"{PATH}/{made.id}/download"
    answer = client.get(path)
    assert answer.content == FILE and answer.headers["etag"] == f'"{hashlib.sha256(FILE).hexdigest()}"'
    assert 'filename="raccoons-v1.onnx"' in answer.headers["content-disposition"]
    part = client.get(path, headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, FILE[5:10])
    assert client.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(FILE)))
    assert client.get(path, params={"link": "true"}).content == FILE, "a folder has no signed links"
    other = published.export(platform, version, b"zip", OPENVINO)
    named = client.head(f"{PATH}/{other.id}/download").headers["content-disposition"]
    assert 'filename="raccoons-v1-openvino-fp16.zip"' in named


def test_a_file_that_did_not_pass_is_sent_by_force_alone(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    made = published.export(platform, version, FILE, **FAILED)
    answer = problem(client.get(f"{PATH}/{made.id}/download"), 409, "export-not-passed")
    assert answer["reasons"] == FAILED["reasons"] and FAILED["reasons"][0] in answer["detail"]
    problem(client.get(f"{PATH}/{made.id}/download", headers={"range": "bytes=0-1"}), 409, "export-not-passed")
    assert client.get(client.get(f"{PATH}/{made.id}").json()["links"]["download"]).content == FILE


def test_a_deleted_export_is_gone_and_can_be_made_again(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    made = published.export(platform, version, FILE)
    assert client.delete(f"{PATH}/{made.id}").status_code == 204
    for path in ("", "/download", "/certificate"):
        problem(client.get(f"{PATH}/{made.id}{path}"), 410, "gone")
    problem(client.delete(f"{PATH}/{made.id}"), 410, "gone")
    assert _post(client, {}).status_code == 202
    other = published.export(platform, imported(platform), FILE)
    problem(client.get(f"{PATH}/{other.id}"), 404, "export-not-found")
    problem(client.get(f"{PATH}/export_none"), 404, "export-not-found")
    problem(client.get("/models/raccoons/v7/exports"), 404, "version-not-found")
    client.delete(f"/jobs/{version.job_id}").raise_for_status()
    problem(client.get(PATH), 410, "gone")


def test_the_plot_has_a_point_for_each_export_and_the_model(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    empty = client.get(f"{PATH}/plot")
    assert empty.headers["content-type"].startswith("image/svg+xml") and b"No exports yet" in empty.content
    made = [published.export(platform, version, b"1"), published.export(platform, version, b"2", OPENVINO, **FAILED)]
    answer = client.get(f"{PATH}/plot")
    policy = answer.headers["content-security-policy"]
    assert "style-src 'sha256-" in policy and "script" not in policy
    drawn = ElementTree.fromstring(answer.content)
    assert {group.get("id") for group in drawn.iter("{http://www.w3.org/2000/svg}g")} == {row.id for row in made}
    texts = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"PyTorch", "onnx fp32", "openvino fp16, not passed", "1.70x"} <= texts
    assert any(str(text).startswith("Often claimed over PyTorch: onnx 1.7x") for text in texts)
    inside = ExportChoice("onnx", "fp32", nms="inside")
    unknown = published.export(platform, version, b"3", inside, figures={"name": None})
    problem(client.delete(f"{PATH}/plot"), 405, "method-not-allowed")
    assert unknown.id not in client.get(f"{PATH}/plot").text


def test_an_export_of_a_busier_day_is_drawn_by_its_ratio_to_the_model(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    slow = {"p50": 38.0, "p95": 46.2, "images_per_second": 25.6}, {"p50": 22.4, "p95": 27.8, "images_per_second": 43.75}
    published.export(platform, version, b"1", milliseconds=dict(zip(("model", "export"), slow, strict=True)))
    published.export(platform, version, b"2", OPENVINO)
    drawn = client.get(f"{PATH}/plot").text
    texts = [text.text for text in ElementTree.fromstring(drawn.encode()).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("11.2") == 2 and "22.4" not in texts and texts.count("88") == 2
    assert "measured: 22.4 ms beside 38 ms" in drawn


def test_an_imported_onnx_is_compared_with_itself_and_not_with_pytorch(
    client: httpx.Client, platform: Platform, version: VersionRow
) -> None:
    with platform.db.transaction() as session:
        session.execute(update(VersionRow).where(VersionRow.id == version.id).values(trainer="onnx"))
    published.export(platform, version, FILE)
    assert client.get(PATH).json()["baseline"]["framework"] == "onnxruntime"
    drawn = client.get(f"{PATH}/plot").text
    assert "beside the same model in onnxruntime" in drawn and "PyTorch" not in drawn
