"""Two versions of a project on its frozen test set, over HTTP."""

import io
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
from PIL import Image

from core import clock
from core.db.tables import JobRow, TestSetRow
from core.services.context import Platform
from core.services.operations.commands import get_operation
from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.image_results import ImageResults
from tests.builders import rows
from tests.builders.evaluated import claimed, published
from tests.builders.image_results import classifier, detector
from tests.builders.indexed import indexed_image, indexed_job
from tests.builders.published import ready_job
from tests.builders.voc import image_bytes
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem

pytestmark = pytest.mark.usefixtures("database_url")

QUERY = {"a": "v1", "b": "v2"}
GREEN, RED, BLUE = (0x00, 0x9E, 0x73), (0xD9, 0x48, 0x0F), (0x00, 0x72, 0xB2)
FIRST = {"mAP50": 0.6, "mAP50-95": 0.4, "intervals": {"mAP50": [0.5, 0.7]}, "seen": {"known": True, "images": 0}}
SECOND = {"mAP50": 0.75, "mAP50-95": None, "seen": {"known": True, "images": 2}}


def test_two_versions_are_compared_on_the_frozen_test_set(platform: Platform, client: httpx.Client) -> None:
    job = ready_job(platform, project="yard")
    for epochs in (10, 20):
        claim = rows.running_run(platform, job.id)
        version = rows.publish(platform, claim)
        with platform.db.transaction() as session:
            session.merge(version).params = {"epochs": epochs, "model": "yolov8n"}
    query = {"a": "v1", "b": "v2"}
    assert "test-set" in problem(client.get("/projects/yard/compare", params=query), 409, "no-test-set")["detail"]
    _freeze(platform, job.id, job.project_id, str(job.fingerprint))

    prefetch = {"sec-purpose": "prefetch;prerender"}
    paths = {"": query, "/images": query | {"outcome": "won"}, "/plot": query}
    for headers in (prefetch, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        unasked = [
            client.get(f"/projects/yard/compare{path}", params=each, headers=headers) for path, each in paths.items()
        ]
        assert [each.status_code for each in unasked] == [202, 404, 404] and unasked[0].json()["operations"] == []
    assert client.get("/operations").json()["items"] == [], "nor what a page of another site embeds"

    waits = client.get("/projects/yard/compare", params=query)
    operations = [each["operation_id"] for each in waits.json()["operations"]]
    assert (waits.status_code, len(operations), waits.json()["figures"]) == (202, 2, [])
    for headers in ({}, prefetch):
        again = client.get("/projects/yard/compare", params=query, headers=headers).json()["operations"]
        assert [each["operation_id"] for each in again] == operations
    for operation_id, metrics in zip(operations, (FIRST, SECOND), strict=True):
        published(platform, claimed(platform, operation_id), metrics)
        assert get_operation(platform.db, operation_id).state == "succeeded"

    answer = client.get("/projects/yard/compare", params=query)
    found = answer.json()
    assert (answer.status_code, found["generation"], found["dataset"], found["operations"]) == (200, 1, "yard/d1", [])
    figures = {each["metric"]: (each["first"], each["second"], each["change"]) for each in found["figures"]}
    assert (figures["mAP50"], figures["mAP50-95"]) == ((0.6, 0.75, 0.15), (0.4, None, None))
    assert found["figures"][0]["first_interval"] == [0.5, 0.7]
    assert found["params"] == {"epochs": {"first": 10, "second": 20}}
    assert (found["second"]["seen"]["images"], found["second"]["leak"]) == (2, None)
    assert found["paired"] is None and "older" in found["paired_note"]
    lists = {**query, "outcome": "won"}
    assert (
        "DELETE"
        in problem(client.get("/projects/yard/compare/images", params=lists), 404, "artifact-not-found")["detail"]
    )
    assert client.get("/projects/yard/compare", params=query, headers=prefetch).json() == found
    named = client.get("/projects/yard/compare", params={**query, "job_id": "d1", "split": "val"})
    assert (named.status_code, named.json()["generation"], named.json()["split"]) == (202, None, "val")
    problem(client.get("/projects/yard/compare", params={"a": "v1", "b": "v9"}), 404, "version-not-found")


@POSTGRES_IS_SLOW
def test_detectors_are_compared_class_by_class_and_image_by_image(platform: Platform, client: httpx.Client) -> None:
    contents = {f"{number}.jpg": image_bytes(size=(96, 64), seed=number) for number in range(7)}
    images = {indexed_image(path, content, split="test"): content for path, content in contents.items()}
    truth = np.array([[0, 10, 10, 40, 40], [1, 50, 5, 90, 60]], float)
    both = np.array([[10, 10, 40, 40, 0.9, 0], [50, 5, 90, 60, 0.8, 1]], float)
    one, nothing = both[:1], np.zeros((0, 6))
    false = np.concatenate((both, [[60, 30, 80, 75, 0.7, 0]]))  # beyond the lower edge
    answers = ([one, one, nothing, both, both, both, both], [both, both, both, false, both, both, both])
    results = [
        detector(
            [ImageBoxes(truth, rows) for rows in side], classes=("ball", "cube"), paths=list(contents), torch=torch
        )
        for side, torch in zip(answers, ("2.7.1", "2.8.0"), strict=True)
    ]
    job = indexed_job(platform, images)
    waits = _published(platform, client, job, results)
    problem(waits, 404, "evaluation-not-found")

    found = client.get(_url(job), params=QUERY).json()
    paired = found["paired"]
    assert (paired["won"], paired["lost"], paired["tied"], paired["images"]) == (3, 1, 3, 7)
    assert [each["name"] for each in paired["per_class"]] == ["cube", "ball"]  # that of the largest change first
    change = paired["per_class"][0]["figures"][1]
    assert change["metric"] == "mAP50-95" and change["interval"][0] <= change["change"] <= change["interval"][1]
    assert found["libraries"] == {"torch": {"first": "2.7.1", "second": "2.8.0"}}

    won = client.get(f"{found['links']['won']}&limit=2").json()
    assert [each["path"] for each in won["items"]] == ["2.jpg", "0.jpg"] and won["next_cursor"]
    rest = client.get(f"{found['links']['won']}&cursor={won['next_cursor']}").json()
    assert [each["path"] for each in rest["items"]] == ["1.jpg"] and rest["next_cursor"] is None
    missed = won["items"][1]["first"]["boxes"][0]
    assert missed == {"class": "cube", "outcome": "missed", "score": None, "x": 50, "y": 5, "width": 40, "height": 55}
    (lost,) = client.get(found["links"]["lost"]).json()["items"]
    assert (lost["path"], lost["second"]["false"]) == ("3.jpg", 1)

    answer = client.get(found["links"]["plot"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    found_colours = Image.open(io.BytesIO(answer.content)).convert("RGB").getcolors(2**20)
    assert {GREEN, RED, BLUE} <= {colour for _, colour in found_colours or ()}
    assert client.get(found["links"]["plot"], headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    client.patch(f"/projects/{job.project}", json={"project": "the-other-name"}).raise_for_status()
    renamed = client.get(
        found["links"]["plot"].replace(job.project, "the-other-name"), headers={"if-none-match": answer.headers["etag"]}
    )
    assert renamed.status_code == 200 and renamed.content != answer.content, "the new name is drawn"
    only = client.get("/projects/the-other-name/compare/plot", params={**QUERY, "outcome": "lost", "n": 1})
    sheet = Image.open(io.BytesIO(only.content)).convert("RGB")
    assert sheet.height < Image.open(io.BytesIO(answer.content)).height
    below = sheet.crop((374, 399, 714, 411)).getcolors() or []  # the frame below the image, 340 x 227 at (374, 170)
    assert RED not in {colour for _, colour in below}, "no box leaves its image"


@POSTGRES_IS_SLOW
def test_classifiers_are_compared_by_their_labels(platform: Platform, client: httpx.Client) -> None:
    contents = {f"{number}.jpg": image_bytes(size=(64, 64), seed=number) for number in range(6)}
    images = {indexed_image(path, content, split="test", label=0): content for path, content in contents.items()}
    job = indexed_job(platform, images, kind="classification")
    results = [
        classifier(predicted, [0] * 6, classes=("ball", "cube"), paths=list(contents))
        for predicted in ([1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0])
    ]
    _published(platform, client, job, results)
    found = client.get(_url(job), params=QUERY).json()
    assert (found["paired"]["won"], found["paired"]["lost"]) == (2, 1)
    (lost,) = client.get(found["links"]["lost"]).json()["items"]
    assert (lost["label"], lost["first"]["predicted"], lost["second"]["predicted"]) == ("ball", "ball", "cube")
    answer = client.get(found["links"]["plot"])
    assert Image.open(io.BytesIO(answer.content)).width > 1000


def _url(job: JobRow) -> str:
    return f"/projects/{job.project}/compare"


def _published(
    platform: Platform, client: httpx.Client, job: JobRow, results: Sequence[ImageResults]
) -> httpx.Response:
    """Two versions with these results on the frozen test set. Returns the answer before they were there."""
    url = _url(job)
    for _ in results:
        rows.publish(platform, rows.running_run(platform, job.id))
    _freeze(platform, job.id, job.project_id, str(job.fingerprint))
    operations = [each["operation_id"] for each in client.get(url, params=QUERY).json()["operations"]]
    waits = client.get(f"{url}/plot", params=QUERY)
    for operation_id, each in zip(operations, results, strict=True):
        published(platform, claimed(platform, operation_id), {}, results=each)
    return waits


def _freeze(platform: Platform, job_id: str, project_id: str, fingerprint: str) -> None:
    row = TestSetRow(
        project_id=project_id,
        generation=1,
        job_id=job_id,
        fingerprint=fingerprint,
        images=10,
        key="test_sets/1",
        bytes=1,
        sha256="a" * 64,
        created_at=clock.now(),
    )
    with platform.db.transaction() as session:
        session.add(row)
