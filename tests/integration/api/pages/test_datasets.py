"""The pages of a dataset: its preparation, its overview, its findings, hostile names."""

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest

from core.db.tables import OperationRow
from core.domain.errors import DatasetRejected, Unavailable
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
from core.services.jobs.deletion import delete_job
from core.services.jobs.project_deletion import delete_project
from core.services.models.test_sets import publish_test_set
from core.services.work.leases import claim_row
from core.storage import StoredObject
from tests.builders import indexed, published, rows
from tests.integration.api.pages.test_shell import page_of

HOSTILE = "<img src=x onerror=alert(1)>\u202e" + "x" * 1000


def test_a_preparation_is_followed_from_where_the_page_was_made(client: httpx.Client, platform: Platform) -> None:
    claim = rows.claimed_job(platform)
    page = page_of(client, f"/ui/datasets/{claim.id}")
    assert 'id="preparing"' in page and "Read the annotations" in page and "Cancel the preparation" in page
    (position,) = re.findall(r'data-position="([^"]*)"', page)
    assert position.startswith(claim.id[-8:])
    rows.complete(platform, claim)


def rejected(platform: Platform, problem: dict[str, Any], path: str = "a.xml") -> str:
    claim = rows.claimed_job(platform, project="raccoons")
    error = DatasetRejected(f"{problem['unusable']} of {problem['images']} images cannot be used.", **problem)
    finding = {"code": "box-outside", "severity": "error", "path": path, "line": 3, "detail": "d", "remedy": "r"}
    counts = {"box-outside": {"severity": "error", "count": 1}}
    outcome = preparing.ValidationResult(None, None, None, None, counts, [finding])
    preparing.reject_job(platform.db, claim, error, outcome)
    return claim.id


def test_a_rejected_dataset_begins_with_what_to_do_and_its_findings(client: httpx.Client, platform: Platform) -> None:
    job_id = rejected(platform, {"images": 20, "unusable": 1, "skippable": True})
    assert "no dataset is ready" in page_of(client, "/ui/")
    page = page_of(client, f"/ui/datasets/{job_id}")
    assert "1 of 20 images cannot be used." in page and "completely or mostly outside" in page
    assert "1 of 20 images stays out; the other 19 become" in page and "a box is outside the image" in page
    (body,) = re.findall(r'data-path="/import-dataset" data-body=\'([^\']+)\'', page)
    assert json.loads(body) == {"dataset": job_id, "on_error": "skip"}
    made = client.post("/import-dataset", json=json.loads(body)).json()
    assert made["dataset"] == "raccoons/d2"
    assert f'data-path="/jobs/{job_id}/repair"' in page and "Upload a corrected ZIP" in page
    assert 'id="upload-dialog"' in page and 'name="project"' in page and 'value="raccoons"' in page
    listed = page_of(client, f"/ui/datasets/{job_id}/findings")
    assert "a.xml" in listed and ">:3<" in listed and "Repair the ZIP" in listed
    assert ">A box is outside the image</a></h2>" in listed and 'data-copy="box-outside"' in listed


@pytest.mark.parametrize(
    ("unusable", "reason"), [(9, "Only 55% of the images would remain"), (0, "about the dataset as a whole")]
)
def test_a_rejection_that_leaving_out_cannot_help_says_why(
    client: httpx.Client, platform: Platform, unusable: int, reason: str
) -> None:
    job_id = rejected(platform, {"images": 20, "unusable": unusable, "skippable": False})
    page = page_of(client, f"/ui/datasets/{job_id}")
    assert reason in page and "/import-dataset" not in page.replace('"sample"', "")
    assert page.count("button primary") == 2, "the repair, and the upload in its dialog"


@pytest.mark.parametrize(
    ("path", "unusable", "text"),
    [
        ("a.xml", 1, "1 of 20 images stays out"),
        ("", 0, "about the dataset as a whole"),
        ("a.xml", 9, "Only 55% of the images would remain"),
    ],
)
def test_a_rejection_from_before_it_said_whether_items_can_be_left_out_is_advised_by_its_findings(
    client: httpx.Client, platform: Platform, path: str, unusable: int, text: str
) -> None:
    assert text in page_of(client, f"/ui/datasets/{rejected(platform, {'images': 20, 'unusable': unusable}, path)}")


def test_a_deleted_dataset_says_of_what_project_it_was_when_and_how_it_was_deleted(
    client: httpx.Client, platform: Platform
) -> None:
    first, second = (rows.ready_job(platform, project="raccoons") for _ in range(2))
    delete_job(platform, first.id)
    page = page_of(client, f"/ui/datasets/{first.id}", 410)
    assert "raccoons/d1 was deleted" in page and f"<code>DELETE /jobs/{first.id}</code>" in page
    assert 'href="/ui/projects/raccoons"' in page and "just now" in page
    gone = client.get(f"/jobs/{first.id}").json()
    assert (gone["project"], gone["dataset"], gone["project_deleted"]) == ("raccoons", "raccoons/d1", False)
    delete_project(platform, "raccoons")
    page = page_of(client, f"/ui/datasets/{second.id}", 410)
    assert "<code>DELETE /projects/raccoons</code>" in page and 'href="/ui/projects/raccoons"' not in page
    assert f"DELETE /jobs/{first.id}" in client.get(f"/jobs/{first.id}").json()["deleted_by"]
    assert "DELETE /projects/raccoons" in page_of(client, "/ui/projects/raccoons", 410)


def test_the_overview_draws_images_with_their_boxes_and_says_what_is_in_it(
    client: httpx.Client, platform: Platform
) -> None:
    image = indexed.indexed_image("a.jpg", boxes=(indexed.box(1, 10, 20, 40, 60),))
    job = indexed.indexed_job(platform, {image: b"1"}, classes=("ball", HOSTILE))
    page = page_of(client, f"/ui/datasets/{job.id}")
    assert 'viewBox="0 0 96 64"' in page
    assert 'class="box-line c1" x="10.0" y="20.0" width="30.0" height="40.0"' in page
    assert "<img src=x" not in page and HOSTILE in unescape(page)
    assert f'href="/ui/datasets/{job.id}/train"' in page and f'data-extends="{job.id}"' in page
    assert f'href="/dataset/export/{job.id}?format=coco"' in page
    charts = page_of(client, f"/ui/datasets/{job.id}/charts")
    assert "Box centres" in charts and "96 x 64: 1" in charts and "<html" not in charts


def test_a_dataset_without_an_index_and_with_little_metadata_has_its_page(
    client: httpx.Client, platform: Platform
) -> None:
    job = published.ready_job(platform)
    page = page_of(client, f"/ui/datasets/{job.id}")
    assert f"/dataset/sample/{job.id}" in page and "raccoon" in page
    assert f"/dataset/plots/{job.id}/box_centres" in page_of(client, f"/ui/datasets/{job.id}/charts")
    assert (
        client.get(f"/ui/datasets/{job.id}/cover", follow_redirects=False)
        .headers["location"]
        .startswith("/dataset/sample/")
    )


def test_the_overview_is_there_while_the_store_does_not_answer(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_args: object, **_kw: object) -> None:
        raise Unavailable("The object store does not answer.", service="store")

    job = indexed.indexed_job(platform, {indexed.indexed_image("a.jpg"): b"1"})
    monkeypatch.setattr(type(platform.store), "open", down)
    assert "cone" in page_of(client, f"/ui/datasets/{job.id}")


def test_charts_of_no_image_are_empty(client: httpx.Client, platform: Platform) -> None:
    job = indexed.indexed_job(platform, {}, classes=())
    assert "Resolutions" in page_of(client, f"/ui/datasets/{job.id}/charts")
    assert page_of(client, f"/ui/datasets/{job.id}") and "No images" in page_of(client, f"/ui/datasets/{job.id}/images")


def test_findings_are_grouped_filtered_and_paged(client: httpx.Client, platform: Platform) -> None:
    findings = [("box-tiny", "a.jpg")] * 35 + [("image-duplicate", "a.jpg")]
    job = indexed.indexed_job(platform, {indexed.indexed_image("a.jpg"): b"1"}, findings=findings)
    page = page_of(client, f"/ui/datasets/{job.id}/findings")
    assert page.count('class="place"') == 7  # 6 of the first, and the other
    assert "All 35" in page and page.index("box-tiny") < page.index("image-duplicate")
    assert "None of this severity" in page_of(client, f"/ui/datasets/{job.id}/findings?severity=note")
    first = page_of(client, f"/ui/datasets/{job.id}/findings?code=box-tiny")
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = page_of(client, unescape(following))
    assert [each.count('class="place"') for each in (first, second)] == [30, 5]
    assert f"/jobs/{job.id}/findings.csv?code=box-tiny" in first
    assert "has no finding" in page_of(client, f"/ui/datasets/{job.id}/findings?code=nope", 404)


@pytest.mark.parametrize("path", ["", "/findings", "/charts", "/cover"])
def test_a_dataset_that_does_not_exist_is_a_problem_in_the_layout(client: httpx.Client, path: str) -> None:
    page = page_of(client, f"/ui/datasets/job_{'0' * 26}{path}", 404)
    assert '<nav class="menu"' in page and "There is no job" in page


def test_a_frozen_test_set_says_so_while_it_is_made_and_after(client: httpx.Client, platform: Platform) -> None:
    images = {indexed.indexed_image(f"{split}.jpg", split=split): b"1" for split in ("train", "val", "test")}
    job = indexed.indexed_job(platform, images, project="cones")
    metadata = {"images": {"total": 3, "train": 1, "val": 1, "test": 1}}
    published.put(platform, str(job.metadata_key), json.dumps(metadata).encode())
    page = page_of(client, f"/ui/datasets/{job.id}")
    assert "Freeze as test set" in page and "are never trained on" in page
    assert "It is ready to train on." in page and "A model learns from 1 image," in page
    client.put("/projects/cones/test-set", json={"job_id": job.id}).raise_for_status()
    page = page_of(client, f"/ui/datasets/{job.id}")
    assert "being frozen" in page and "Freeze as test set" not in page
    assert "being frozen" in page_of(client, "/ui/projects/cones")
    (operation,) = client.get("/operations?kind=freeze-test-set").json()["items"]
    claimed = claim_row(platform.db, OperationRow, operation["operation_id"], "w", lease_seconds=60.0)
    assert claimed is not None
    publish_test_set(platform.db, claimed[0], StoredObject("frozen.json", 3, "0" * 64), images=1)
    page = page_of(client, f"/ui/datasets/{job.id}")
    assert "Frozen as the test set, generation 1" in page and "Unfreeze the test set?" in page
