"""The pages of a dataset: its preparation, its overview, its findings, hostile names."""

import re
from html import unescape

import httpx
import pytest

from core.domain.errors import DatasetRejected, Unavailable
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
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


def test_a_rejected_dataset_begins_with_its_findings(client: httpx.Client, platform: Platform) -> None:
    claim = rows.claimed_job(platform)
    error = DatasetRejected("3 of 9 images cannot be used.", errors={"box-outside": 3})
    finding = {"code": "box-outside", "severity": "error", "path": "a.xml", "line": 3, "detail": "d", "remedy": "r"}
    counts = {"box-outside": {"severity": "error", "count": 1}}
    outcome = preparing.ValidationResult(None, None, None, None, counts, [finding])
    preparing.reject_job(platform.db, claim, error, outcome)
    page = page_of(client, f"/ui/datasets/{claim.id}")
    assert "3 of 9 images cannot be used." in page and "completely or mostly outside" in page
    assert f'data-path="/jobs/{claim.id}/repair"' in page
    listed = page_of(client, f"/ui/datasets/{claim.id}/findings")
    assert "a.xml" in listed and ">:3<" in listed and "Repair the ZIP" in listed


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
